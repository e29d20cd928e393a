"""A proxy's own certificates are made anew in time. Source: RFC 5280, 4.1.2.5 (validity); mitmproxy's certs.CERT_EXPIRY."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flows import flow, now
from mitmproxy import certs
from mitmproxy.addons.tlsconfig import TlsConfig
from mitmproxy.test import taddons
from OpenSSL import crypto

from addons.egress.addon import Egress
from addons.frame.proxy import ProxyAddon
from addons.http.fresh_leaves import drop_old
from addons.pipelock.addon import Pipelock

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


@pytest.mark.parametrize("make", [lambda at: Egress(at / "r", at / "t", at), lambda at: Pipelock(at / "p", at)])
def test_health_fails_if_a_certificate_of_the_proxy_is_over_that_it_cannot_renew(
    store: certs.CertStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], ProxyAddon]
) -> None:
    addon, tls = make(tmp_path), TlsConfig()
    addon._file.poll()
    if isinstance(addon, Egress):
        addon.use_tokens({})

    def health(days: int) -> tuple[int, str]:
        monkeypatch.setattr(time, "time", lambda: NOW.timestamp() + days * 86400)
        exchange = flow(f"http://{addon.own_host}/health")
        now(addon.requestheaders(exchange))
        now(addon.request(exchange))
        assert exchange.response is not None
        return exchange.response.status_code, json.loads(exchange.response.content or b"")["certificates"]

    with taddons.context(addon, tls):
        tls.certstore = store
        old = leaf(store, "a.example.com")
        assert health(0) == (200, "")
        assert store.expire_queue
        assert health(400) == (200, "")  # the leaf is over, and no client gets it any more
        assert leaf(store, "a.example.com") != old
        for days in (5000, -3):  # the CA itself is over, or the clock is wrong
            status, why = health(days)
            assert status == 503
            assert f"the certificate of {store.default_ca.cn} is valid from" in why
        store.certs["own.example.com"] = store.get_cert("b.example.com", [])
        store.expire_queue.clear()
        status, why = health(400)
        assert status == 503
        assert "the certificate of b.example.com is valid from" in why


def authority(key: ec.EllipticCurvePrivateKey, begins: datetime) -> x509.Certificate:
    """What components/authorities.py asks pulumi-tls for: the subject and the key stay when it is renewed."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "claude-bottle x egress")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(begins).not_valid_after(begins + timedelta(days=365))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return builder.sign(key, hashes.SHA256())


def test_who_knows_the_old_certificate_of_a_ca_trusts_its_renewal(tmp_path: Path) -> None:
    """RFC 5280, 6.1.1 (d): a trust anchor is a name and a key. What runs in the agent has read the old certificate."""
    key, stranger = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    old, renewed = authority(key, NOW - timedelta(days=310)), authority(key, NOW - timedelta(days=1))
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "mitmproxy-ca.pem").write_bytes(private + renewed.public_bytes(pem))
    store = certs.CertStore.from_store(tmp_path, "mitmproxy", 2048)
    shown = store.get_cert("a.example.com", [x509.DNSName("a.example.com")]).cert.to_pem()
    for anchor, trusted in ((old, True), (renewed, True), (authority(stranger, NOW - timedelta(days=1)), False)):
        known = crypto.X509Store()
        known.add_cert(crypto.X509.from_cryptography(anchor))
        context = crypto.X509StoreContext(known, crypto.load_certificate(crypto.FILETYPE_PEM, shown))
        if trusted:
            context.verify_certificate()
        else:
            with pytest.raises(crypto.X509StoreContextError):
                context.verify_certificate()
