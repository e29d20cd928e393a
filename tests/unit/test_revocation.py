"""Revocation lists, with real handshakes in memory."""

from __future__ import annotations

import contextlib
import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto

from addons.pipelock.revocation import Revocation

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


def certificate_and_key(name: str, issuer: Any = None) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, signed_by = (issuer[1], issuer[0].subject) if issuer else (key, subject)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(signed_by).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(NOW - DAY).not_valid_after(NOW + DAY)
    builder = builder.add_extension(x509.BasicConstraints(ca=name.startswith("ca"), path_length=None), critical=True)
    if name.startswith("ca"):
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(signer, hashes.SHA256()), key


def crl(issuer: Any, *revoked: x509.Certificate, until: datetime.datetime = NOW + DAY) -> bytes:
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer[0].subject)
    builder = builder.last_update(NOW - 2 * DAY).next_update(until)
    for certificate in revoked:
        one = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(NOW - DAY)
        builder = builder.add_revoked_certificate(one.build())
    return builder.sign(issuer[1], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


CA, OTHER = certificate_and_key("ca one"), certificate_and_key("ca two")
MIDDLE = certificate_and_key("ca middle", CA)
LEAF, BELOW = certificate_and_key("leaf", CA), certificate_and_key("leaf", MIDDLE)


def shakes_hands(leaf: Any, lists: bytes, *chain: Any) -> bool:
    """Whether a client with these lists accepts the certificate."""
    server_context, client_context = SSL.Context(SSL.TLS_METHOD), SSL.Context(SSL.TLS_METHOD)
    server_context.use_certificate(crypto.X509.from_cryptography(leaf[0]))
    server_context.use_privatekey(crypto.PKey.from_cryptography_key(leaf[1]))
    for certificate, _ in chain:
        server_context.add_extra_chain_cert(crypto.X509.from_cryptography(certificate))
    store = client_context.get_cert_store()
    assert store is not None
    for root in (CA, OTHER):
        store.add_cert(crypto.X509.from_cryptography(root[0]))
    client_context.set_verify(SSL.VERIFY_PEER, None)
    client, server = SSL.Connection(client_context), SSL.Connection(server_context)
    client.set_connect_state()
    server.set_accept_state()
    Revocation(lists).tls_start_server(SimpleNamespace(ssl_conn=client))  # type: ignore[arg-type]
    for _ in range(6):
        for one, other in ((client, server), (server, client)):
            try:
                one.do_handshake()
            except SSL.WantReadError:
                pass
            except SSL.Error:
                return False
            with contextlib.suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(1 << 16))
    return True


def test_a_revoked_certificate_is_refused_and_others_are_not() -> None:
    assert not shakes_hands(LEAF, crl(CA, LEAF[0]))
    assert shakes_hands(LEAF, crl(CA, BELOW[0]))
    assert shakes_hands(LEAF, crl(OTHER, LEAF[0]))  # of an issuer without a list


def test_a_revoked_issuer_is_refused() -> None:
    assert shakes_hands(BELOW, crl(CA), MIDDLE)
    assert not shakes_hands(BELOW, crl(CA, MIDDLE[0]), MIDDLE)
    assert not shakes_hands(BELOW, crl(CA) + crl(MIDDLE, BELOW[0]), MIDDLE)


def test_a_list_that_is_over_or_signed_by_a_stranger_refuses() -> None:
    assert not shakes_hands(LEAF, crl(CA, until=NOW - DAY))
    stranger = (CA[0], OTHER[1])
    assert not shakes_hands(LEAF, crl(stranger))


@pytest.mark.parametrize("lists", [b"", b"-----BEGIN X509 CRL-----\nnonsense\n-----END X509 CRL-----\n"])
def test_what_is_no_list_is_told(lists: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Revocation(lists)
