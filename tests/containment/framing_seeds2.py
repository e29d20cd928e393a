"""Public collections of HTTP/2 messages that become two when they are written as HTTP/1.1, and of h2spec's frames.

Each row names where it was published. After each case another stream, or where the connection ends another connection,
is not needed: what counts is what the upstream saw.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from framing_cases import SHAPES, number, pseudo
from framing_rule import Case, Sent
from lab import wire

SEQUEL = "https://portswigger.net/research/http2"
H2SPEC = "https://github.com/summerwind/h2spec"
RFC = "https://www.rfc-editor.org/rfc/rfc9113"

Rows = Iterator[tuple[str, str, list[list[Any]], tuple[Sent, ...]]]
_F, _E = wire.frame, wire.END_HEADERS


def _block(stream: int, fields: wire.Fields, end: bool = True, flags: int = _E) -> list[Any]:
    return ["raw", _F(wire.HEADERS, flags | (wire.END_STREAM if end else 0), stream, wire.hpack(fields)).hex()]


def bodies(path: str, host: str, smuggled: str) -> Rows:
    """What a body, a length or a coding hides (H2.CL, H2.TE, H2.0)."""

    def post(*fields: tuple[str, str]) -> list[list[str]]:
        return pseudo("POST", path, host, *fields)

    whole = (Sent("1", "POST", path, smuggled.encode()),)
    yield "H2.0", SEQUEL, [["headers", 1, post(), False], ["data", 1, smuggled, True], ["wait", 1]], whole
    for value in ("0", "4", "+0", " 0", "0, 0", "00", "0_0", "0x0", "\xb2", "-1", str(len(smuggled) + 1), "1" * 30):
        yield (
            f"H2.CL/{value}",
            SEQUEL,
            [["headers", 1, post(("content-length", value)), False], ["data", 1, smuggled, True]],
            (),
        )
    two = post(("content-length", "0"), ("content-length", str(len(smuggled))))
    yield "H2.CL/two", SEQUEL, [["headers", 1, two, False], ["data", 1, smuggled, True]], ()
    for name, value in (
        ("transfer-encoding", "chunked"), ("transfer-encoding", "identity"), ("Transfer-Encoding", "chunked"),
        ("transfer-encoding ", "chunked"), ("transfer-encoding", " chunked"), ("transfer_encoding\r\ntransfer-encoding", "chunked"),
        ("connection", "transfer-encoding"), ("connection", "close"), ("keep-alive", "a"), ("proxy-connection", "a"),
        ("upgrade", "h2c"), ("te", "chunked"), ("te", "gzip, trailers"), ("content-length\r\ntransfer-encoding", "chunked"),
    ):  # fmt: skip
        body = f"0\r\n\r\n{smuggled}"
        # `te` and `proxy-connection` are for this connection alone, and go no further.
        may = (Sent("1", "POST", path, body.encode(), seen="may", status=0),)
        yield (
            f"H2.TE/{name}/{value}",
            SEQUEL,
            [["headers", 1, post((name, value)), False], ["data", 1, body, True]],
            may if name == "te" else (),
        )
    yield (
        "H2.TE/trailers",
        RFC,
        [["headers", 1, post(("te", "trailers")), False], ["data", 1, smuggled, True], ["wait", 1]],
        whole,
    )


def injections(path: str, host: str, smuggled: str) -> Rows:
    """Line ends and spaces in what HTTP/1.1 writes in lines."""
    for at, name in enumerate(("\r\n", "\n", "\r", "\0")):
        values = (
            f"b{name}transfer-encoding: chunked",
            f"b{name}{name}{smuggled}",
            f"b{name}host: other.example.com",
            name,
            f"{name}b",
            f"b{name}",
        )
        for number_, value in enumerate(values):
            yield (
                f"value/{at}/{number_}",
                SEQUEL,
                [
                    ["headers", 1, pseudo("POST", path, host, ("foo", value)), False],
                    ["data", 1, f"0\r\n\r\n{smuggled}", True],
                ],
                (),
            )
        yield (
            f"name/{at}",
            SEQUEL,
            [
                ["headers", 1, pseudo("POST", path, host, (f"foo: b{name}transfer-encoding", "chunked")), False],
                ["data", 1, f"0\r\n\r\n{smuggled}", True],
            ],
            (),
        )
        for place, fields in (
            (
                "method",
                [
                    [":method", f"GET /admin/ HTTP/1.1{name}x: y"],
                    [":scheme", "https"],
                    [":authority", host],
                    [":path", path],
                ],
            ),
            (
                "path",
                [
                    [":method", "GET"],
                    [":scheme", "https"],
                    [":authority", host],
                    [":path", f"{path} HTTP/1.1{name}{name}{smuggled}"],
                ],
            ),
            (
                "authority",
                [[":method", "GET"], [":scheme", "https"], [":authority", f"{host}{name}x: y"], [":path", path]],
            ),
            ("scheme", [[":method", "GET"], [":scheme", f"https{name}x"], [":authority", host], [":path", path]]),
        ):
            yield f"{place}/{at}", SEQUEL, [["headers", 1, fields, True]], ()
        trailer = [
            ["headers", 1, pseudo("POST", path, host), False],
            ["data", 1, "a", False],
            ["headers", 1, [["x", f"b{name}{name}{smuggled}"]], True],
        ]
        yield f"trailer/{at}", SEQUEL, trailer, ()
    for name in ("foo:", "foo: bar", ":foo", "foo bar", "fo\xe4o", "", "Foo", "foo\t", "foo(", "foo\x7f"):
        yield f"name/{name!r}", SEQUEL, [["headers", 1, pseudo("GET", path, host, (name, "b")), True]], ()


def targets(path: str, host: str, smuggled: str) -> Rows:
    """Pseudo-header fields that one server reads and another does not."""
    base = {":method": "GET", ":scheme": "https", ":authority": host, ":path": path}

    def with_(**more: str) -> list[list[str]]:
        return [[f":{name}", more.get(name, base[f":{name}"])] for name in ("method", "scheme", "authority", "path")]

    for method in ("GET /admin/ HTTP/1.1", "G ET", " GET", "GET ", "", "GET\t", "CONNECT", "G\xc4T", "get"):
        yield f"method/{method!r}", SEQUEL, [["headers", 1, with_(method=method), True]], ()
    for other in (
        f"{path} HTTP/1.1",
        f" {path}",
        "",
        path[1:],
        f"https://other.example.com{path}",
        f"{path}\t",
        f"{path} x",
    ):
        yield f"path/{other!r}", SEQUEL, [["headers", 1, with_(path=other), True]], ()
    for scheme in ("https://other.example.com/x?", "ftp", "", "https ", "HTTPS"):
        may = (Sent("1", "GET", path, seen="may", status=0),) if scheme == "HTTPS" else ()
        yield f"scheme/{scheme!r}", SEQUEL, [["headers", 1, with_(scheme=scheme), True]], may
    for authority in (
        "other.example.com",
        f"x@{host}",
        f"{host}:80",
        f"{host}:443:443",
        f"{host} x",
        f"{host}/x",
        f"{host},other.example.com",
        "[::1]",
    ):
        yield f"authority/{authority!r}", SEQUEL, [["headers", 1, with_(authority=authority), True]], ()
    for name in base:
        twice = [*([k, v] for k, v in base.items()), [name, "POST" if name == ":method" else base[name]]]
        yield f"twice/{name}", SEQUEL, [["headers", 1, twice, True]], ()
        yield f"without/{name}", H2SPEC, [["headers", 1, [[k, v] for k, v in base.items() if k != name], True]], ()
        late = [*([k, v] for k, v in base.items() if k != name), ["x", "y"], [name, base[name]]]
        yield f"late/{name}", H2SPEC, [["headers", 1, late, True]], ()
        trailer = [
            ["headers", 1, pseudo("POST", path, host), False],
            ["data", 1, "a", False],
            ["headers", 1, [[name, base[name]]], True],
        ]
        yield f"trailer/{name}", H2SPEC, trailer, ()
    for fields in (
        [":status", "200"],
        [":protocol", "websocket"],
        [":foo", "bar"],
        ["host", "other.example.com"],
        ["host", f"{host}, x"],
    ):
        yield f"field/{fields}", SEQUEL, [["headers", 1, [*with_(), fields], True]], ()
    connect = [[":method", "CONNECT"], [":authority", f"{host}:443"]]
    yield "connect", H2SPEC, [["headers", 1, connect, False], ["data", 1, smuggled, False]], ()
    extended = [*with_(method="CONNECT"), [":protocol", "websocket"]]
    yield (
        "extended-connect",
        "https://www.rfc-editor.org/rfc/rfc8441",
        [["headers", 1, extended, False], ["data", 1, smuggled, False]],
        (),
    )
    for name in ("content-length", "transfer-encoding", "host", "authorization", "connection", "te"):
        trailer = [
            ["headers", 1, pseudo("POST", path, host), False],
            ["data", 1, "hello", False],
            ["headers", 1, [[name, "5"]], True],
        ]
        yield f"trailer/{name}", RFC, trailer, ()
    many = [["headers", 1, [*pseudo("GET", path, host), ["cookie", "a=b"], ["cookie", "c=d"]], True], ["wait", 1]]
    yield "cookies", RFC, many, (Sent("1", "GET", path),)


def frames(path: str, host: str, smuggled: str) -> Rows:
    """Frames out of place (the numbers are those of h2spec's sections)."""
    get, post = pseudo("GET", path, host), pseudo("POST", path, host)
    one = (Sent("1", "GET", path, seen="may", status=0),)
    block = wire.hpack(get)
    begun = (Sent("1", "POST", path, b"hello", seen="may", status=0),)
    yield "5.1/data-idle", H2SPEC, [["data", 1, smuggled, True]], ()
    yield (
        "5.1/data-after-end",
        H2SPEC,
        [["headers", 1, post, False], ["data", 1, "hello", True], ["data", 1, smuggled, True]],
        begun,
    )
    yield (
        "5.1/headers-after-end",
        H2SPEC,
        [["headers", 1, post, False], ["data", 1, "hello", True], ["headers", 1, post, True]],
        begun,
    )
    yield "5.1/data-after-reset", H2SPEC, [["headers", 1, post, False], ["reset", 1], ["data", 1, smuggled, True]], ()
    yield "5.1.1/even", H2SPEC, [["headers", 2, get, True]], ()
    yield (
        "5.1.1/lower",
        H2SPEC,
        [["headers", 5, get, True], ["headers", 3, get, True]],
        (Sent("5", "GET", path, seen="may", status=0),),
    )
    yield "6.1/data-0", H2SPEC, [["raw", _F(wire.DATA, 0, 0, smuggled.encode()).hex()]], ()
    yield (
        "6.1/padding",
        H2SPEC,
        [["headers", 1, post, False], ["raw", _F(wire.DATA, wire.PADDED | 1, 1, b"\xff" + smuggled.encode()).hex()]],
        (),
    )
    yield "6.2/headers-0", H2SPEC, [["headers", 0, get, True]], ()
    yield "6.2/padding", H2SPEC, [["raw", _F(wire.HEADERS, 0xD, 1, b"\xff" + block).hex()]], ()
    yield (
        "6.2/priority-self",
        H2SPEC,
        [["raw", _F(wire.HEADERS, 0x25, 1, (1).to_bytes(4, "big") + b"\0" + block).hex()]],
        one,
    )
    yield (
        "6.2/interleaved",
        H2SPEC,
        [["raw", (_F(wire.HEADERS, 1, 1, block[:20]) + wire.headers(3, get, True)).hex()]],
        (),
    )
    yield (
        "6.2/second-without-end",
        H2SPEC,
        [
            ["headers", 1, post, False],
            ["data", 1, "hello", False],
            ["headers", 1, [["x", "y"]], False],
            ["data", 1, smuggled, True],
        ],
        (),
    )
    yield (
        "6.3/priority",
        H2SPEC,
        [["raw", _F(wire.PRIORITY, 0, 3, b"\0\0\0\1\x10").hex()], ["headers", 1, get, True], ["wait", 1]],
        (Sent("1", "GET", path),),
    )
    yield "6.4/reset-idle", H2SPEC, [["reset", 1]], ()
    yield (
        "6.5/settings-ack-length",
        H2SPEC,
        [["raw", _F(wire.SETTINGS, 1, 0, b"\0").hex()], ["headers", 1, get, True]],
        (),
    )
    yield "6.5/settings-stream", H2SPEC, [["raw", _F(wire.SETTINGS, 0, 1).hex()], ["headers", 1, get, True]], ()
    yield "6.6/push", H2SPEC, [["raw", _F(wire.PUSH_PROMISE, _E, 1, b"\0\0\0\2" + block).hex()]], ()
    yield "6.7/ping-length", H2SPEC, [["raw", _F(wire.PING, 0, 0, b"a").hex()], ["headers", 1, get, True]], ()
    yield "6.8/goaway", H2SPEC, [["headers", 1, get, True], ["raw", _F(wire.GOAWAY, 0, 0, bytes(8)).hex()]], one
    yield "6.9/window-0", H2SPEC, [["raw", _F(wire.WINDOW_UPDATE, 0, 0, bytes(4)).hex()], ["headers", 1, get, True]], ()
    yield (
        "6.9/window-overflow",
        H2SPEC,
        [
            ["headers", 1, post, False],
            ["raw", _F(wire.WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff").hex()],
            ["data", 1, smuggled, True],
        ],
        (),
    )
    yield (
        "6.10/continuation",
        H2SPEC,
        [
            [
                "raw",
                (
                    _F(wire.HEADERS, 1, 1, block[:9])
                    + b"".join(_F(wire.CONTINUATION, 0, 1, block[at : at + 4]) for at in range(9, len(block), 4))
                    + _F(wire.CONTINUATION, _E, 1)
                ).hex(),
            ],
            ["wait", 1],
        ],
        (Sent("1", "GET", path),),
    )
    yield "6.10/continuation-alone", H2SPEC, [["raw", _F(wire.CONTINUATION, _E, 1, block).hex()]], ()
    yield (
        "6.10/continuation-after-end",
        H2SPEC,
        [["headers", 1, get, True], ["raw", _F(wire.CONTINUATION, _E, 1, block).hex()]],
        one,
    )
    yield "4.2/too-large", H2SPEC, [["headers", 1, post, False], ["raw", _F(wire.DATA, 1, 1, bytes(1 << 18)).hex()]], ()
    yield "4.3/bad-block", H2SPEC, [["raw", _F(wire.HEADERS, 5, 1, b"\xff\xff\xff\xff\xff").hex()]], ()
    yield (
        "unknown-frame",
        H2SPEC,
        [["raw", _F(0x42, 0xFF, 0, b"hello").hex()], ["headers", 1, get, True], ["wait", 1]],
        (Sent("1", "GET", path),),
    )
    yield (
        "empty-data",
        H2SPEC,
        [
            ["headers", 1, post, False],
            ["raw", (_F(wire.DATA, 0, 1) * 50 + _F(wire.DATA, 1, 1, b"hello")).hex()],
            ["wait", 1],
        ],
        (Sent("1", "POST", path, b"hello"),),
    )
    yield "http1", RFC, [["raw", (f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n{smuggled}").encode().hex()]], ()


def matrix() -> Iterator[Case]:
    """All of them, towards HTTP/1.1 and towards HTTP/2."""
    for shape in (SHAPES["2-2-1"], SHAPES["2-splice-1"], SHAPES["2-2-2"], SHAPES["2-pipelock-1"]):
        for rows in (bodies, injections, targets, frames):
            at = 0
            while True:
                case = number()
                path = f"/ok/{case}/length"
                host = shape.host if shape.via == "egress" else "other.example.com"
                smuggled = f"DELETE /admin/{case}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"
                row = next((row for n, row in enumerate(rows(path, shape.host, smuggled)) if n == at), None)
                if row is None:
                    break
                at += 1
                name, source, steps, sent = row
                whole = bool(sent) and all(x.seen == "must" for x in sent)
                yield Case(
                    f"{shape.name}/{rows.__name__}/{name}",
                    shape,
                    case,
                    tuple(steps),
                    sent,
                    source=source,
                    partial=not whole,
                )
