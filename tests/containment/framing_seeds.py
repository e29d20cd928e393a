"""Public collections of messages that two servers read differently, as HTTP/1.1. Each row names where it was published.

A row: name, what follows the request line and Host (or, with no leading field, the whole message), and what the upstream
may see of it: NONE, or the body of the one request. `{id}`, `{h}` and `{G}` stand for the case, the host, and a request
for a path that no route allows.
"""

from __future__ import annotations

from collections.abc import Iterator

from framing_cases import SHAPES, number
from framing_rule import Case, Sent

REBORN = "https://portswigger.net/research/http-desync-attacks-request-smuggling-reborn"
BROWSER = "https://portswigger.net/research/browser-powered-desync-attacks"
MUST_DIE = "https://portswigger.net/research/http1-must-die"
GARDEN = "https://github.com/narfindustries/http-garden"
FUNKY = "https://w4ke.info/2025/06/18/funky-chunks.html"
RFC = "https://www.rfc-editor.org/rfc/rfc9112"

NONE = None
_POST, _GET = "POST /ok/{id}/length HTTP/1.1\r\nHost: {h}\r\n", "GET /ok/{id}/length HTTP/1.1\r\nHost: {h}\r\n"
_CHUNKED, _END = "Transfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n"
_SIZE = 6  # that of a length in front of a smuggled request: an emptied chunked body

# What a field with these words is in front of: a chunked body that ends before the smuggled request.
CODINGS = (
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding:\tchunked",
    " Transfer-Encoding: chunked",
    "X: X\nTransfer-Encoding: chunked",
    "X: X\rTransfer-Encoding: chunked",
    "Transfer-Encoding\r\n : chunked",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding: \x0bchunked",
    "Transfer-Encoding: chunked\x00",
    "Transfer-Encoding: \x00chunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: identity",
    'Transfer-Encoding: "chunked"',
    "Transfer-Encoding: 'chunked'",
    "Transfer-Encoding: chunked;a=b",
    "Transfer-Encoding: chunked,",
    "Transfer-Encoding: ,chunked",
    "Transfer-Encoding: chunked chunked",
    "Transfer-Encoding: chunk",
    "Transfer-Encoding:chunked\xa0",
    "TRANSFER-ENCODING: CHUNKED",
    "Foo: bar\r\n\rTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 6",
)
CODINGS_WELL_FORMED = ("Transfer-Encoding:\tchunked", "TRANSFER-ENCODING: CHUNKED")
LENGTHS = (
    "+6", "0x6", "6,6", "6, 6", "", "6 6", "06", "6\x0b", "\x0b6", "-6", "6.0", "6e0", "0b110", "1_0", "6;",
    "99999999999999999999", "18446744073709551622", "6\r\nContent-Length: 60", "60\r\nContent-Length: 6", "\xb2", "6\x00",
)  # fmt: skip
CHUNKS = (
    ("extension-lf", "5;\nX\r\nhello\r\n0\r\n\r\n", FUNKY),
    ("extension-cr", "5;\rX\r\nhello\r\n0\r\n\r\n", FUNKY),
    ("size-lf", "5\nhello\r\n0\r\n\r\n", FUNKY),
    ("data-lf", "5\r\nhello\n0\r\n\r\n", FUNKY),
    ("data-xx", "5\r\nhelloXX0\r\n\r\n", FUNKY),
    ("spill", "5\r\nhellospill\r\n0\r\n\r\n", FUNKY),
    ("plus", "+5\r\nhello\r\n0\r\n\r\n", GARDEN),
    ("0x", "0x5\r\nhello\r\n0\r\n\r\n", GARDEN),
    ("underscore", "0_5\r\nhello\r\n0\r\n\r\n", GARDEN),
    ("minus", "-5\r\nhello\r\n0\r\n\r\n", GARDEN),
    ("empty", "\r\nhello\r\n0\r\n\r\n", GARDEN),
    ("leading-space", " 5\r\nhello\r\n0\r\n\r\n", GARDEN),
    ("overflow", "10000000000000005\r\nhello\r\n0\r\n\r\n", GARDEN),
    ("long", "0" * 400 + "5\r\nhello\r\n0\r\n\r\n", GARDEN),
    ("no-last", "5\r\nhello\r\n\r\n", GARDEN),
    ("trailer-no-colon", "5\r\nhello\r\n0\r\nX\r\n\r\n", GARDEN),
    ("trailer-length", "5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n", RFC),
    ("trailer-coding", "5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", RFC),
    ("trailer-host", "5\r\nhello\r\n0\r\nHost: other.example.com\r\n\r\n", RFC),
    ("trailer-folded", "5\r\nhello\r\n0\r\nX-A: b\r\n c\r\n\r\n", RFC),
)
# The whole message before its last line; `may` be seen as a GET without a body where the second word is True.
HEADS = (
    ("two-spaces", "GET  /ok/{id}/length HTTP/1.1\r\nHost: {h}", False, GARDEN),
    ("tab", "GET\t/ok/{id}/length HTTP/1.1\r\nHost: {h}", False, GARDEN),
    ("leading-space", " GET /ok/{id}/length HTTP/1.1\r\nHost: {h}", False, GARDEN),
    ("leading-crlf", "\r\nGET /ok/{id}/length HTTP/1.1\r\nHost: {h}", True, RFC),
    ("four-words", "GET /ok/{id}/length HTTP/1.1 HTTP/1.1\r\nHost: {h}", False, GARDEN),
    ("two-words", "GET /ok/{id}/length\r\nHost: {h}", False, GARDEN),
    ("version-1.10", "GET /ok/{id}/length HTTP/1.10\r\nHost: {h}", False, GARDEN),
    ("version-1.2", "GET /ok/{id}/length HTTP/1.2\r\nHost: {h}", False, GARDEN),
    ("version-0.9", "GET /ok/{id}/length HTTP/0.9\r\nHost: {h}", False, GARDEN),
    ("version-2.0", "GET /ok/{id}/length HTTP/2.0\r\nHost: {h}", False, GARDEN),
    ("version-lower", "GET /ok/{id}/length http/1.1\r\nHost: {h}", False, GARDEN),
    ("version-nul", "GET /ok/{id}/length HTTP/1.1\x00\r\nHost: {h}", False, GARDEN),
    ("absolute", "GET https://{h}/ok/{id}/length HTTP/1.1\r\nHost: {h}", True, RFC),
    ("absolute-other", "GET https://other.example.com/ok/{id}/length HTTP/1.1\r\nHost: {h}", False, BROWSER),
    ("absolute-http", "GET http://{h}/ok/{id}/length HTTP/1.1\r\nHost: {h}", True, BROWSER),
    ("no-slash", "GET ok/{id}/length HTTP/1.1\r\nHost: {h}", False, GARDEN),
    ("at", "GET @other.example.com/ok/{id}/length HTTP/1.1\r\nHost: {h}", False, GARDEN),
    ("nul-in-path", "GET /ok/{id}/length?\x00 HTTP/1.1\r\nHost: {h}", False, GARDEN),
    ("connect", "CONNECT {h}:443 HTTP/1.1\r\nHost: {h}:443", False, GARDEN),
    ("preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET /ok/{id}/length HTTP/1.1\r\nHost: {h}", False, GARDEN),
    ("method-nul", "G\x00T /ok/{id}/length HTTP/1.1\r\nHost: {h}", False, GARDEN),
    ("method-lower", "get /ok/{id}/length HTTP/1.1\r\nHost: {h}", False, GARDEN),
    ("hosts", "GET /ok/{id}/length HTTP/1.1\r\nHost: {h}\r\nHost: {h}", False, GARDEN),
    ("hosts-differ", "GET /ok/{id}/length HTTP/1.1\r\nHost: {h}\r\nHost: other.example.com", False, BROWSER),
    ("host-other", "GET /ok/{id}/length HTTP/1.1\r\nHost: other.example.com", False, BROWSER),
    ("host-list", "GET /ok/{id}/length HTTP/1.1\r\nHost: {h}, other.example.com", False, GARDEN),
    ("host-none", "GET /ok/{id}/length HTTP/1.1", False, RFC),
    ("host-empty", "GET /ok/{id}/length HTTP/1.1\r\nHost:", False, GARDEN),
    ("host-user", "GET /ok/{id}/length HTTP/1.1\r\nHost: x@{h}", False, GARDEN),
    ("host-space", "GET /ok/{id}/length HTTP/1.1\r\nHost : {h}", False, MUST_DIE),
    ("host-hidden", "GET /ok/{id}/length HTTP/1.1\r\nXost: other.example.com\r\n Host: {h}", False, MUST_DIE),
    ("host-folded", "GET /ok/{id}/length HTTP/1.1\r\nHost:\r\n {h}", False, MUST_DIE),
    ("value-nul", "GET /ok/{id}/length HTTP/1.1\r\nHost: {h}\r\nX: a\x00b", False, GARDEN),
    ("value-cr", "GET /ok/{id}/length HTTP/1.1\r\nHost: {h}\r\nX: a\rY: b", False, GARDEN),
    ("line-lf", "GET /ok/{id}/length HTTP/1.1\nHost: {h}\r\nX: b", False, RFC),
    ("no-colon", "GET /ok/{id}/length HTTP/1.1\r\nHost: {h}\r\nX", False, GARDEN),
    ("no-name", "GET /ok/{id}/length HTTP/1.1\r\nHost: {h}\r\n: b", False, GARDEN),
    ("name-space", "GET /ok/{id}/length HTTP/1.1\r\nHost: {h}\r\nX Y: b", False, GARDEN),
    ("name-high", "GET /ok/{id}/length HTTP/1.1\r\nHost: {h}\r\nX\xff: b", False, GARDEN),
    ("folded", "GET /ok/{id}/length HTTP/1.1\r\nHost: {h}\r\nX: a\r\n b", False, GARDEN),
    ("folded-first", "GET /ok/{id}/length HTTP/1.1\r\n X: a\r\nHost: {h}", False, GARDEN),
    ("connection-host", "GET /ok/{id}/length HTTP/1.1\r\nHost: {h}\r\nConnection: host", False, GARDEN),
    ("h2c", "GET /ok/{id}/length HTTP/1.1\r\nHost: {h}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__", True, GARDEN),
)  # fmt: skip
# Well-formed messages whose bodies look like requests: exactly one request each.
WHOLE = (
    ("CL.0", "POST", "Content-Length: {n}", BROWSER),
    ("CL.0-get", "GET", "Content-Length: {n}", BROWSER),
    ("CL.0-head", "HEAD", "Content-Length: {n}", BROWSER),
    ("CL.0-options", "OPTIONS", "Content-Length: {n}", BROWSER),
    ("CL.0-type", "POST", "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {n}", BROWSER),
    ("TE.0", "OPTIONS", "Transfer-Encoding: chunked", MUST_DIE),
    ("TE.0-get", "GET", "Transfer-Encoding: chunked", MUST_DIE),
    ("expect", "POST", "Expect: 100-continue\r\nContent-Length: {n}", MUST_DIE),
    ("expect-chunked", "POST", "Expect: 100-continue\r\nTransfer-Encoding: chunked", MUST_DIE),
    ("expect-get", "GET", "Expect: 100-continue\r\nContent-Length: {n}", MUST_DIE),
)
EXPECTS = ("y 100-continue", "100-continue, x", "\r\n 100-continue", "100-continue\r\nExpect: 100-continue", "200-ok")


def _case(name: str, source: str, text: str, *sent: tuple[str, bytes], shape: str, must: bool = False) -> Case:
    case, way = number(), SHAPES[shape]
    # Without egress there are no routes: there it is refused for its host.
    host = way.host if way.via == "egress" else "other.example.com"
    smuggled = f"DELETE /admin/{case}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"
    whole = text.replace("{G}", smuggled).replace("{id}", case).replace("{h}", way.host)
    path = f"/ok/{case}/length"
    known = tuple(
        Sent(
            str(at), method, path, body.replace(b"{G}", smuggled.encode()), seen="must" if must else "may",
            trailers=("x-a: b c",) if name == "chunk/trailer-folded" else (),
            status=200 if must else 0,
        )
        for at, (method, body) in enumerate(sent)
    )  # fmt: skip
    steps: list[list[object]] = []
    for at, part in enumerate(whole.split("{pause}")):
        steps += [["pause", 0.5]] if at else []
        steps += [["send", part]]
    if must:
        steps += [["answer", sent[0][0]]]
    return Case(f"{shape}/{name}", way, case, tuple(steps), known, source=source, partial=not must)


def rows(shape: str) -> Iterator[Case]:
    """All rows by one way."""

    def case(name: str, source: str, text: str, *sent: tuple[str, bytes], must: bool = False) -> Case:
        return _case(name, source, text, *sent, shape=shape, must=must)

    for at, coding in enumerate(CODINGS):
        body = f"{coding}\r\n\r\n{_END}{{G}}"
        yield case(f"CL.TE/{at}", REBORN, f"{_POST}Content-Length: {_SIZE}\r\n{body}")
        yield case(f"TE/{at}", REBORN, f"{_POST}{body}", *((("POST", b""),) if coding in CODINGS_WELL_FORMED else ()))
    yield case("TE.CL", REBORN, f"{_POST}Content-Length: 4\r\n{_CHUNKED}5c\r\n{{G}}\r\n{_END}")
    for at, length in enumerate(LENGTHS):
        yield case(f"length/{at}", GARDEN, f"{_POST}Content-Length: {length}\r\n\r\n{_END}x{{G}}")
    yield case("length-folded", MUST_DIE, f"{_POST}Content-Length:\r\n 6\r\n\r\nhello!{{G}}")
    yield case("length-space", MUST_DIE, f"{_POST}Content-Length : 6\r\n\r\nhello!{{G}}")
    yield case("length-hidden", MUST_DIE, f"{_POST}X: y\r\n Content-Length: 6\r\n\r\nhello!{{G}}")
    yield case("length-underscore", MUST_DIE, f"{_POST}Content_Length: 6\r\n\r\n{{G}}", ("POST", b""))
    for name, body, source in CHUNKS:
        # Read and written anew, these are no more than an extension, which goes no further, and a trailer of one line.
        may = (("POST", b"hello"),) if name in ("extension-cr", "trailer-folded") else ()
        yield case(f"chunk/{name}", source, f"{_POST}{_CHUNKED}{body}{{G}}", *may)
    for name, text, may, source in HEADS:
        sent = (("GET", b""),) if may else ()
        yield case(f"head/{name}", source, f"{text}\r\n\r\n{{G}}", *sent)
    for at, expect in enumerate(EXPECTS):
        text = f"{_POST}Expect: {expect}\r\nContent-Length: 5\r\n\r\nhello"
        yield case(f"expect/{at}", MUST_DIE, text, ("POST", b"hello"))
    for name, method, fields, source in WHOLE:
        host = SHAPES[shape].host if SHAPES[shape].via == "egress" else "other.example.com"
        size = len(f"DELETE /admin/q00000/ HTTP/1.1\r\nHost: {host}\r\n\r\n")
        for pause in ("", "{pause}"):
            head = f"{method} /ok/{{id}}/length HTTP/1.1\r\nHost: {{h}}\r\n{fields.replace('{n}', str(size))}\r\n\r\n"
            body = f"{size:x}\r\n{{G}}\r\n{_END}" if "chunked" in fields else "{G}"
            yield case(
                f"whole/{name}{'/pause' if pause else ''}", source, head + pause + body, (method, b"{G}"), must=True
            )
    # What was routed by its first request has to be judged again for the second.
    yield case(
        "second-host",
        BROWSER,
        f"{_GET}\r\nGET /ok/{{id}}/length HTTP/1.1\r\nHost: other.example.com\r\n\r\n",
        ("GET", b""),
    )
    yield case("second-path", BROWSER, f"{_GET}\r\n{{G}}", ("GET", b""))
    yield case("head-two", RFC, "HEAD /ok/{id}/length HTTP/1.1\r\nHost: {h}\r\n\r\n{G}", ("HEAD", b""))
    yield case("half-crlf", RFC, "GET /ok/{id}/length HTTP/1.1\r\nHost: {h}\r\n\r{pause}\n{G}", ("GET", b""))


def matrix() -> Iterator[Case]:
    """All of them, by interception and by a splice."""
    for shape in ("1-1-1", "1-splice-1", "1-pipelock-1", "1-1-2"):
        yield from rows(shape)
