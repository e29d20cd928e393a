"""Refuses upstreams whose certificate is revoked, by the revocation lists that the owner supplies.

No server is asked, because a query to a name server or responder of the agent's choice could carry data.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from cryptography import x509
from mitmproxy import tls
from OpenSSL import SSL, crypto

REVOCATION_LISTS = "REVOCATION_LISTS"  # environment variable: a file of PEM CRLs
_CRL = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----\s*", re.DOTALL)
_NO_LIST_OF_THE_ISSUER = 3  # X509_V_ERR_UNABLE_TO_GET_CRL


class Revocation:
    """Adds the lists to every connection to an upstream. An expired list refuses its issuer's certificates."""

    def __init__(self, lists: bytes) -> None:
        """Raises ValueError if there is no list, or if one cannot be parsed."""
        pems = _CRL.findall(lists)
        if not pems:
            raise ValueError("no revocation list in PEM")
        self._lists = [x509.load_pem_x509_crl(pem) for pem in pems]

    @classmethod
    def from_environment(cls) -> list[Revocation]:
        """One instance, or none if the owner supplies no lists. Raises OSError or ValueError, which ends the
        process."""
        file = os.environ.get(REVOCATION_LISTS)
        return [cls(Path(file).read_bytes())] if file else []

    def tls_start_server(self, data: tls.TlsData) -> None:
        """Runs after mitmproxy's own hook, which creates the TLS connection. Without one it does nothing."""
        if data.ssl_conn is None:
            return
        store = data.ssl_conn.get_context().get_cert_store()
        if store is None:
            raise ValueError("a connection without trusted roots")
        for known in self._lists:
            store.add_crl(known)
        store.set_flags(crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL)
        data.ssl_conn.set_verify(SSL.VERIFY_PEER, _judge)


def _judge(_conn: object, _cert: object, error: int, _depth: int, fine: int) -> bool:
    return bool(fine) or error == _NO_LIST_OF_THE_ISSUER
