"""Names in other letters, by their ASCII form. The `idna` package (RFC 5891) says what is one."""

from __future__ import annotations

import random

import idna
import pytest
from flows import flow
from mitmproxy.net.http import http1, url

from addons.frame.request_target import Tunnels, ascii_authority, authority_of, connect_target, parse_request
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.pipelock import allowlist
from claude_bottle.policy.names.a_labels import is_a_label
from claude_bottle.policy.names.hosts import canonical_host, canonical_pattern

REAL = [
    "xn--bcher-kva", "xn--p1ai", "xn--strae-oqa", "xn--fiqs8s", "xn--80akhbyknj4f", "xn--mgberp4a5d4ar", "xn--0zwm56d",
    "xn--hxt814e", "xn--55qx5d", "xn--mnchen-3ya", "xn--nxasmm1c", "xn--9ca",
]  # fmt: skip
FAKE = [
    "xn--agent",  # five control characters, which draw on a terminal
    "xn--", "xn--a", "xn--abc-", "xn--99999999", "xn---", "xn--example-", "xn--ls8h",  # U+1F4A9: no letter
    "xn--i-7iq",  # a heart
    "xn--bcher-kvb-", "xn--mxacd-x", "xn--A",
]  # fmt: skip


@pytest.mark.parametrize("label", REAL)
def test_a_name_in_other_letters_is_one(label: str) -> None:
    assert idna.alabel(idna.ulabel(label)).decode() == label
    assert is_a_label(label)
    assert canonical_host(f"{label.upper()}.example") == f"{label}.example"
    assert canonical_pattern(f"*.{label}.xn--p1ai") == f"*.{label}.xn--p1ai"


@pytest.mark.parametrize("label", FAKE)
def test_what_only_looks_like_one_is_no_name(label: str) -> None:
    with pytest.raises((idna.IDNAError, UnicodeError)):
        idna.ulabel(label)
    assert not is_a_label(label)
    with pytest.raises(ValueError, match=r"host name|xn--"):
        canonical_host(f"{label}.example.com")


def test_at_random_none_passes_that_idna_refuses() -> None:
    draw, passed = random.Random(3), 0
    pool = "abz0-\u00df\u00e9\u00fc\u03b1\u03c2\u043f\u0440\u4e2d\u3042\u30ab\u30fb\u00b7\u0301\u0660\u06f0\u0640\u200c\u200d\u094d\u0915\u00a0\u2764\ufb01\u212a\u0085\u202e"
    for _ in range(20_000):
        letters = "".join(draw.choice(pool) for _ in range(draw.randint(1, 5)))
        try:
            label = "xn--" + letters.encode("punycode").decode()
        except UnicodeError:
            continue
        if is_a_label(label):
            passed += 1
            # The rule for names that are written from right to left is about how they are shown, and they are not.
            idna.check_nfc(letters)
            idna.check_hyphen_ok(letters)
            idna.check_initial_combiner(letters)
            for at, one in enumerate(letters):
                point = ord(one)
                assert (
                    idna.core.intranges_contain(point, idna.idnadata.codepoint_classes["PVALID"])
                    or (idna.core.intranges_contain(point, idna.idnadata.codepoint_classes["CONTEXTJ"]) and idna.valid_contextj(letters, at))
                    or (idna.core.intranges_contain(point, idna.idnadata.codepoint_classes["CONTEXTO"]) and idna.valid_contexto(letters, at))
                ), (letters, hex(point))  # fmt: skip
    assert passed > 1000


def test_the_proxies_keep_the_ascii_form() -> None:
    parse = ascii_authority(url.parse_authority)
    assert parse(b"xn--bcher-kva.example:443", True) == ("xn--bcher-kva.example", 443)
    assert parse(b"xn--strae-oqa.example", True) == ("xn--strae-oqa.example", None)  # which IDNA 2003 cannot read
    assert parse("XN--P1AI", False) == ("XN--P1AI", None)
    assert parse(b"plain.example:80", True) == ("plain.example", 80)
    for wrong in (b"xn--p1ai:99999", b"xn--p1ai:443:1", b"xn--p1ai\x00", b"u@xn--p1ai"):
        with pytest.raises(ValueError):
            parse(wrong, True)


@pytest.mark.parametrize("host", ["xn--bcher-kva.example", "xn--strae-oqa.example"])
def test_a_request_and_its_tunnel_name_one_host(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(url, "parse_authority", ascii_authority(url.parse_authority))
    exchange = flow()
    exchange.request = http1.read_request_head([f"CONNECT {host}:443 HTTP/1.1".encode(), f"Host: {host}:443".encode()])
    assert authority_of(exchange.request) == f"{host}:443"
    assert connect_target(exchange) == (host, 443)
    tunnels = Tunnels()
    tunnels.open(exchange.client_conn, host, 443)
    exchange.request = http1.read_request_head([b"GET /x HTTP/1.1", f"Host: {host}".encode()])
    exchange.request.data.host, exchange.request.data.port, exchange.request.data.scheme = host, 443, b"https"
    exchange.client_conn.sni = host
    assert parse_request(exchange, tunnels).host == host
    exchange.request.headers["host"] = host.replace("kva", "kvb").replace("oqa", "oqb")
    with pytest.raises(ValueError, match=r"xn--|differ"):
        parse_request(exchange, tunnels)


def test_a_manifest_declares_it_in_ascii() -> None:
    hosts = ["xn--bcher-kva.example", "*.xn--p1ai.example"]
    manifest = Manifest.model_validate({"egress": {"routes": [{"host": host} for host in hosts]}})
    assert allowlist(manifest)[:2] == hosts
    for wrong in ("xn--agent.example.com", "b\u00fccher.example"):
        with pytest.raises(ValueError, match="xn--"):
            Manifest.model_validate({"egress": {"routes": [{"host": wrong}]}})
