"""The matrix of requests: {HTTP/1.1, HTTP/2} x each way x framing x size x method x how it ends.

Sizes: egress reads bodies of up to 256 KiB whole if their length is told, pipelock (in the lab) of up to 1 MiB; longer
ones pass in pieces. After each request comes a second one on the same connection, which tells where the first ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from framing_lab import TOKEN
from framing_rule import Case, Sent, Shape
from lab import wire

SMALL, MIDDLE, LARGE = 37, 300_000, 1_300_000
SHAPES = {
    shape.name: shape
    for shape in (
        Shape("1-1-1", 1, wire.HOST, 1),
        Shape("2-2-1", 2, wire.HOST, 1),
        Shape("1-splice-1", 1, wire.SPLICED, 1),
        Shape("2-splice-1", 2, wire.SPLICED, 1),
        Shape("1-pipelock-1", 1, wire.HOST, 1, "pipelock"),
        Shape("2-pipelock-1", 2, wire.HOST, 1, "pipelock"),
        Shape("1-1-2", 1, wire.HOST2, 2),
        Shape("2-2-2", 2, wire.HOST2, 2),
        Shape("1-splice-2", 1, wire.SPLICED2, 2),
        Shape("2-splice-2", 2, wire.SPLICED2, 2),
        Shape("1-pipelock-2", 1, wire.HOST2, 2, "pipelock"),
        Shape("2-pipelock-2", 2, wire.HOST2, 2, "pipelock"),
    )
}
TRAILERS = (("x-end", "done"),)
GITHUB = "ghp_" + "Zq8vW2nRkT5yLx0BhJ4mUc7DqQw3Ee5Rt6Yu"
_numbers = iter(range(100_000))


def number() -> str:
    """The id of the next case."""
    return f"q{next(_numbers):05}"


def head(method: str, path: str, host: str, *fields: str, version: str = "HTTP/1.1") -> list[Any]:
    """The head of an HTTP/1 request, as a step."""
    return ["send", "\r\n".join([f"{method} {path} {version}", f"Host: {host}", *fields, "", ""])]


def pseudo(method: str, path: str, host: str, *fields: tuple[str, str]) -> list[list[str]]:
    """The fields of an HTTP/2 request."""
    pseudo_fields = [[":method", method], [":scheme", "https"], [":authority", host], [":path", path]]
    return [*pseudo_fields, *(list(pair) for pair in fields)]


def requests1(shape: Shape) -> Iterator[Case]:
    """Well-formed HTTP/1.1."""
    for method, framing, size in (
        *(("GET", framing, size) for framing, size in (("none", 0), ("length", SMALL), ("chunked", SMALL))),
        *(("HEAD", framing, size) for framing, size in (("none", 0), ("length", SMALL))),
        *(("POST", framing, 0) for framing in ("none", "length", "chunked", "trailers")),
        *(("POST", framing, SMALL) for framing in ("length", "chunked", "bytes", "trailers", "expect")),
        *(("POST", framing, size) for framing in ("length", "chunked", "trailers") for size in (MIDDLE, LARGE)),
        *((method, framing, SMALL) for method in ("PUT", "PURGE", "OPTIONS") for framing in ("length", "chunked")),
        *((method, "none", 0) for method in ("PURGE", "OPTIONS")),
    ):
        for probe in ("after", "pipelined"):
            if probe == "pipelined" and (size > SMALL or framing == "expect"):
                continue
            case, body = number(), wire.filler(size)
            path, second = f"/ok/{case}/length", f"/ok/{case}/chunked/probe"
            fields, send = _body1(framing, size)
            first = [head(method, path, shape.host, *fields), *([["pause", 0.1]] if framing == "expect" else []), *send]
            follow = [head("GET", second, shape.host)]
            answer = [["answer", method]]
            steps = [*first, *follow, *answer] if probe == "pipelined" else [*first, *answer, *follow]
            trailers = ("x-end: done",) if framing == "trailers" else ()
            yield Case(
                f"{shape.name}/{method}/{framing}/{size}/{probe}", shape, case, (*steps, ["answer", "GET"]),
                (Sent("0", method, path, body, trailers), Sent("1", "GET", second)),
            )  # fmt: skip


def _body1(framing: str, size: int) -> tuple[list[str], list[list[Any]]]:
    if framing == "none":
        return [], []
    if framing in ("length", "expect"):
        return [f"Content-Length: {size}", *(["Expect: 100-continue"] if framing == "expect" else [])], [["fill", size]]
    trailers = TRAILERS if framing == "trailers" else ()
    return ["Transfer-Encoding: chunked"], [
        ["chunks", size, 1 if framing == "bytes" else 7 if size == SMALL else 50_000, trailers]
    ]


def requests2(shape: Shape) -> Iterator[Case]:
    """Well-formed HTTP/2: two requests at once."""
    for method, framing, size in (
        *((method, "end", 0) for method in ("GET", "HEAD", "POST", "PURGE", "OPTIONS")),
        *((method, framing, SMALL) for method in ("GET", "HEAD", "PUT", "PURGE") for framing in ("data", "length")),
        *(("POST", framing, 0) for framing in ("data", "length", "trailers")),
        *(
            ("POST", framing, SMALL)
            for framing in ("data", "length", "bytes", "padded", "trailers", "lengthtrailers", "dataend")
        ),
        *(
            ("POST", framing, size)
            for framing in ("data", "length", "trailers", "lengthtrailers")
            for size in (MIDDLE, LARGE)
        ),
    ):
        case, body = number(), wire.filler(size)
        path, second = f"/ok/{case}/length", f"/ok/{case}/chunked/probe"
        content_length = [("content-length", str(size))] if framing in ("length", "lengthtrailers") else []
        fields, ends = pseudo(method, path, shape.host, *content_length), framing.endswith("trailers")
        steps: list[list[Any]] = [["headers", 1, fields, framing == "end"]]
        if framing == "bytes":
            steps += [["raw", wire.data(1, body, True, 1).hex()]]
        elif framing == "padded":
            padded = bytes([9]) + body + bytes(9)
            steps += [["raw", wire.frame(wire.DATA, wire.PADDED | wire.END_STREAM, 1, padded).hex()]]
        elif framing != "end":
            steps += [["fill", 1, size, not ends and framing != "dataend"]]
        steps += [["data", 1, "", True]] if framing == "dataend" else [["headers", 1, TRAILERS, True]] if ends else []
        steps += [["headers", 3, pseudo("GET", second, shape.host), True], ["wait", 1, 3]]
        trailers = ("x-end: done",) if ends else ()
        yield Case(
            f"{shape.name}/{method}/{framing}/{size}", shape, case, tuple(steps),
            (Sent("1", method, path, body, trailers, may_drop=framing == "lengthtrailers"), Sent("3", "GET", second)),
        )  # fmt: skip


def unfinished1(shape: Shape) -> Iterator[Case]:
    """HTTP/1.1 requests that never become whole: none of them is one for the upstream, nor is what follows in them."""
    smuggled = f"DELETE /admin/ HTTP/1.1\r\nHost: {shape.host}\r\n\r\n"
    for framing in ("length", "chunked", "nolast", "lastonly"):
        for size in (SMALL, MIDDLE, LARGE):
            for end in ("half", "abort", "silent"):
                if end == "silent" and size != LARGE:
                    continue
                case = number()
                path = f"/ok/{case}/length"
                field = f"Content-Length: {size + 500}" if framing == "length" else "Transfer-Encoding: chunked"
                inner = smuggled.replace("/admin/", f"/admin/{case}/")
                sent = wire.filler(size) + inner.encode()
                text = {
                    "length": sent,
                    "chunked": b"%x\r\n" % (len(sent) + 9) + sent,
                    "nolast": wire.chunked(sent, 30_000)[: -len(b"0\r\n\r\n")],
                    "lastonly": wire.chunked(sent, 30_000)[: -len(b"\r\n")],
                }[framing].decode("latin-1")
                last: list[list[Any]] = (
                    [["half"]] if end == "half" else [["pause", 0.3], ["abort"]] if end == "abort" else []
                )
                steps = (head("POST", path, shape.host, field), ["send", text], *last)
                yield Case(f"{shape.name}/unfinished/{framing}/{size}/{end}", shape, case, steps, quiet=0.7)


def unfinished2(shape: Shape) -> Iterator[Case]:
    """HTTP/2 requests that never become whole or lie about their length; other streams go on."""
    for how in (
        "headers",
        "reset",
        "trailersreset",
        "close",
        "low",
        "high",
        "lowtrailers",
        "hightrailers",
        "highend",
        "allreset",
        "allclose",
    ):
        for size in (SMALL, MIDDLE, LARGE):
            if how in ("headers", "highend") and size != SMALL:
                continue
            case = number()
            path, second = f"/ok/{case}/length", f"/ok/{case}/length/probe"
            declared_length = {"low": size - 5, "lowtrailers": size - 5, "allreset": size, "allclose": size}.get(
                how, size + 5 if how.startswith("high") else None
            )
            fields = pseudo(
                "POST", path, shape.host, *([("content-length", str(declared_length))] if declared_length else [])
            )
            steps: list[list[Any]] = [["headers", 1, fields, how == "highend"]]
            if how not in ("headers", "highend"):
                inner = f"DELETE /admin/{case}/ HTTP/1.1\r\nHost: {shape.host}\r\n\r\n"
                text = wire.filler(size - len(inner)).decode() + inner if size > 200 else wire.filler(size).decode()
                steps += [["data", 1, text, how in ("low", "high")]]
            if how.endswith("trailers"):
                steps += [["headers", 1, TRAILERS, True]]
            if how in ("headers", "reset", "allreset"):
                steps += [["pause", 0.2], ["reset", 1]]
            if how == "trailersreset":  # the trailers' block is not at its end yet
                steps += [["raw", wire.frame(wire.HEADERS, wire.END_STREAM, 1, wire.hpack(TRAILERS)).hex()], ["close"]]
            if how in ("close", "allclose"):
                steps += [["pause", 0.2], ["close"]]
            sent: tuple[Sent, ...] = ()
            if how in ("headers", "reset", "highend", "allreset"):
                steps += [["headers", 3, pseudo("GET", second, shape.host), True], ["wait", 3]]
                sent = (Sent("3", "GET", second),)
            yield Case(f"{shape.name}/unfinished/{how}/{size}", shape, case, tuple(steps), sent, partial=True)


def early(shape: Shape) -> Iterator[Case]:
    """The upstream answers before the request is whole, and then reads on, closes, or stops."""
    for kind in ("early", "earlychunked", "earlyclose", "earlystop"):
        for size in (SMALL, LARGE):
            for whole in (True, False):
                case = number()
                path = f"/ok/{case}/{kind}"
                if shape.upstream == 2 and kind != "early":
                    continue
                # What a client gets whose request is cut off by an early close depends on who is faster; and one that
                # has its answer leaves, perhaps before a long request has gone all the way.
                is_answered = kind in ("early", "earlychunked")
                seen = "never" if not whole else "must" if is_answered and size == SMALL else "may"
                status = 200 if whole and is_answered else 0
                # A client that waits for the answer and stops then has to get it.
                waits = (
                    kind == "early" and shape.http == 1 and not whole and (size == LARGE or shape.parts == ("egress",))
                )
                status = 200 if waits else status
                first = wire.filler(size)
                steps: list[list[Any]]
                if shape.http == 1:
                    steps = [
                        head("POST", path, shape.host, "Transfer-Encoding: chunked"),
                        ["send", wire.chunked(first, 60_000)[:-5].decode()],
                        ["pause", 0.6],
                        *([["send", "0\r\n\r\n"], ["answer", "POST"]] if whole else []),
                        *([["answer", "POST"]] if waits else []),
                        *([] if whole else [["abort"]]),
                    ]
                else:
                    steps = [
                        ["headers", 1, pseudo("POST", path, shape.host), False],
                        ["fill", 1, size, False],
                        ["pause", 0.6],
                        ["data", 1, "", True] if whole else ["reset", 1],
                        *([["wait", 1]] if whole else []),
                    ]
                sent = (Sent("0" if shape.http == 1 else "1", "POST", path, first, seen=seen, status=status),)
                # An upstream that stops takes room of the proxies for as long as the client waits.
                patience = 5.0 if kind == "earlystop" else None
                name = f"{shape.name}/{kind}/{size}/{'whole' if whole else 'cut'}"
                yield Case(name, shape, case, tuple(steps), sent, patience=patience)


def cut(shape: Shape) -> Iterator[Case]:
    """Uploads in which a credential turns up once a part has left: the upstream never has a whole request."""
    # What egress looks for, and what pipelock does (the form of GitHub's tokens, as gitleaks tells it).
    secrets = {"token": TOKEN, "dlp": GITHUB}
    for kind, secret in secrets.items():
        if kind not in ("token", "dlp")[: 2 if "pipelock" in shape.parts else 1] or (
            kind == "token" and shape.via != "egress"
        ):
            continue
        for place in ("middle", "last", "trailer"):
            for framing in ("length", "chunked"):
                if (place, framing, shape.http) == ("trailer", "length", 1):
                    continue
                case = number()
                path, second = f"/ok/{case}/length", f"/ok/{case}/length/probe"
                text = wire.filler(LARGE) + (b"" if place == "trailer" else f" {secret} ".encode())
                text += wire.filler(50_000) if place == "middle" else b""
                trailers = [("x-end", secret)] if place == "trailer" else []
                content_length = [("content-length", str(len(text)))] if framing == "length" else []
                steps: list[list[Any]]
                if shape.http == 1:
                    fields = [f"Content-Length: {len(text)}"] if content_length else ["Transfer-Encoding: chunked"]
                    whole = text if content_length else wire.chunked(text, 40_000, trailers)
                    sent: tuple[Sent, ...] = (Sent("0", "POST", path, text, seen="never", status=0),)
                    steps = [head("POST", path, shape.host, *fields), ["send", whole.decode()]]
                else:
                    steps = [
                        ["headers", 1, pseudo("GET", second, shape.host), True],
                        ["headers", 3, pseudo("POST", path, shape.host, *content_length), False],
                        ["data", 3, text.decode(), not trailers],
                        *([["headers", 3, trailers, True]] if trailers else []),
                        ["wait", 3], ["headers", 5, pseudo("GET", second, shape.host), True], ["wait", 1, 5],
                    ]  # fmt: skip
                    sent = (
                        Sent("1", "GET", second), Sent("5", "GET", second),
                        Sent("3", "POST", path, text, seen="never", status=0),
                    )  # fmt: skip
                yield Case(f"{shape.name}/cut/{kind}/{place}/{framing}", shape, case, tuple(steps), sent, partial=True)


def early_trailers(shape: Shape) -> Iterator[Case]:
    """A credential in the trailers of a request that has its answer already."""
    case = number()
    path, secret = f"/ok/{case}/early", TOKEN if shape.via == "egress" else GITHUB
    sent = (Sent("0" if shape.http == 1 else "1", "POST", path, wire.filler(LARGE), seen="never", status=0),)
    steps: list[list[Any]]
    if shape.http == 1:
        text = wire.chunked(wire.filler(LARGE), 60_000)[:-5].decode()
        steps = [head("POST", path, shape.host, "Transfer-Encoding: chunked"), ["send", text], ["pause", 0.6]]
        steps += [["send", f"0\r\nx-end: {secret}\r\n\r\n"]]
    else:
        steps = [["headers", 1, pseudo("POST", path, shape.host), False], ["fill", 1, LARGE, False], ["pause", 0.6]]
        steps += [["headers", 1, [["x-end", secret]], True], ["wait", 1]]
    yield Case(f"{shape.name}/earlytrailers", shape, case, tuple(steps), sent, partial=True)


def matrix() -> Iterator[Case]:
    """All of them."""
    for shape in SHAPES.values():
        yield from (requests1 if shape.http == 1 else requests2)(shape)
        yield from (unfinished1 if shape.http == 1 else unfinished2)(shape)
        yield from early(shape)
        yield from cut(shape)
        yield from early_trailers(shape)
