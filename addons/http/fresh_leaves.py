"""Makes the proxies' own certificates anew at half their life.

mitmproxy keeps the leaf of a host for as long as the process runs, and a leaf holds some months: a proxy that runs
longer would show the agent one that is over. Connections that are open keep the leaf that they have.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from mitmproxy import certs, ctx, tls

_PAUSE = 60.0  # seconds between two looks


def drop_old(store: certs.CertStore, now: datetime) -> int:
    """Forget the leaves that are past half their life, or not valid yet; how many that were."""
    old = [entry for entry in store.expire_queue if not _is_fresh(entry.cert, now)]
    store.expire_queue = [entry for entry in store.expire_queue if entry not in old]
    store.certs = {key: entry for key, entry in store.certs.items() if entry not in old}
    return len(old)


def _is_fresh(leaf: certs.Cert, now: datetime) -> bool:
    return leaf.notbefore <= now <= leaf.notbefore + (leaf.notafter - leaf.notbefore) / 2


class FreshLeaves:
    """Looks before a leaf is asked for; to be added before TlsConfig. A clock that is put right counts at once."""

    def __init__(self) -> None:
        self._looked = 0.0

    def tls_start_client(self, _: tls.TlsData) -> None:
        now = time.time()
        if abs(now - self._looked) >= _PAUSE:
            self._looked = now
            drop_old(ctx.master.addons.get("tlsconfig").certstore, datetime.fromtimestamp(now, UTC))


addons = [FreshLeaves()]
