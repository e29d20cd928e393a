"""A proxy's own certificates are made anew in time. Source: RFC 5280, 4.1.2.5 (validity); mitmproxy's certs.CERT_EXPIRY."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from mitmproxy import certs

from addons.fresh_leaves import drop_old

NOW = datetime.now(UTC)


@pytest.fixture
def store(tmp_path: Path) -> certs.CertStore:
    return certs.CertStore.from_store(tmp_path, "mitmproxy", 2048)


def leaf(store: certs.CertStore, host: str) -> bytes:
    return store.get_cert(host, [x509.DNSName(host)]).cert.fingerprint()


@pytest.mark.parametrize(
    ("days", "again"),
    [(0, False), (80, False), (200, True), (400, True), (5000, True), (-3, True)],
    ids=["today", "in its first half", "in its second half", "over", "in years", "a clock that went back"],
)
def test_a_leaf_is_made_anew_at_half_its_life(store: certs.CertStore, days: int, again: bool) -> None:
    before = leaf(store, "a.example.com")
    assert drop_old(store, NOW + timedelta(days=days)) == (1 if again else 0)
    assert (leaf(store, "a.example.com") != before) == again


def test_only_what_is_old_goes(store: certs.CertStore) -> None:
    kept = [leaf(store, f"{n}.example.com") for n in range(5)]
    assert drop_old(store, NOW) == 0
    assert [leaf(store, f"{n}.example.com") for n in range(5)] == kept
    assert len(store.expire_queue) == 5


def test_what_was_given_by_hand_stays(store: certs.CertStore) -> None:
    """Not in mitmproxy's queue: the owner's own certificate is his to renew."""
    entry = store.get_cert("a.example.com", [])
    store.certs, store.expire_queue = {"own.example.com": entry}, []
    assert drop_old(store, NOW + timedelta(days=5000)) == 0
    assert "own.example.com" in store.certs
