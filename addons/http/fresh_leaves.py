"""Renews the proxies' own certificates at half their life.

mitmproxy keeps a host's leaf certificate for as long as the process runs, but a leaf is valid for some months: a proxy
that runs longer would present an expired one. Open connections keep their leaf. Health reports what this cannot renew:
the CA itself, and a certificate that was configured by hand.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from mitmproxy import certs, ctx, tls

_PAUSE = 60.0  # seconds between two checks
_SKEW = timedelta(hours=1)  # the engine's clock may be behind that of the owner's machine, which makes the CA


def drop_old(store: certs.CertStore, now: datetime) -> int:
    """Drop the leaves that are past half their life, or not valid yet. Returns their number."""
    old = [entry for entry in store.expire_queue if not _is_fresh(entry.cert, now)]
    store.expire_queue = [entry for entry in store.expire_queue if entry not in old]
    store.certs = {key: entry for key, entry in store.certs.items() if entry not in old}
    return len(old)


def not_valid(store: certs.CertStore, now: datetime) -> str:
    """Which certificate clients would reject now though old leaves are dropped, or ""."""
    drop_old(store, now)
    for cert in (store.default_ca, *(entry.cert for entry in store.certs.values())):
        if not cert.notbefore - _SKEW <= now <= cert.notafter:
            return f"the certificate of {cert.cn} is valid from {cert.notbefore} to {cert.notafter}, and now is {now}"
    return ""


def own_certificates() -> str:
    """Why clients reject the certificates of this proxy, or "". For its health."""
    addons = getattr(getattr(ctx, "master", None), "addons", None)
    store = getattr(addons and addons.get("tlsconfig"), "certstore", None)
    return not_valid(store, datetime.fromtimestamp(int(time.time()), UTC)) if store is not None else ""


def _is_fresh(leaf: certs.Cert, now: datetime) -> bool:
    return leaf.notbefore <= now <= leaf.notbefore + (leaf.notafter - leaf.notbefore) / 2


class FreshLeaves:
    """Checks before a leaf is used, so it must be added before TlsConfig. A corrected clock takes effect at once."""

    def __init__(self) -> None:
        self._looked = 0.0

    def tls_start_client(self, _: tls.TlsData) -> None:
        now = time.time()
        if abs(now - self._looked) >= _PAUSE:
            self._looked = now
            drop_old(ctx.master.addons.get("tlsconfig").certstore, datetime.fromtimestamp(now, UTC))


addons = [FreshLeaves()]
