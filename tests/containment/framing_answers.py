"""The matrix of answers: each of lab/answers.py x each way x method, and a second request on the same connection.

An answer that is well-formed has to arrive as it is. One that is not may be refused or cut; it may never look whole and
be shorter, and what follows it may never become the answer to the next request.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from framing_cases import SHAPES, head, number, pseudo
from framing_rule import Case, Sent, Shape
from lab import answers as table
from lab import wire

_NAMES = list(table.ANSWERS)
WELL_FORMED = tuple(_NAMES[: _NAMES.index("short")])
_EMPTY = frozenset(
    [
        "empty",
        "emptychunked",
        "emptytwo",
        "s204",
        "s204two",
        "s204length",
        "s304",
        "s304two",
        "s304length",
        "s304chunked",
        "s205",
    ]
)
_CLOSES = frozenset(["close"])  # and so does the client's connection
# Statuses of the answers that have another than 200.
_STATUS = {
    "s204": 204,
    "s304": 304,
    "s304length": 304,
    "s304chunked": 304,
    "s205": 205,
    "s404": 404,
    "s500chunked": 500,
}
_H2 = ("length", "chunked", "echo", "trailers", "hints", "s204", "s304", "empty", "short", "reset")


def answers1() -> Iterator[Case]:
    """An HTTP/1.1 upstream."""
    for name in ("1-1-1", "2-2-1", "1-splice-1", "2-splice-1", "1-pipelock-1", "2-pipelock-1"):
        for kind in _NAMES:
            for method in ("GET", "HEAD", "POST"):
                if (method == "POST" or "pipelock" in name) and kind not in (
                    "trailers",
                    "two",
                    "hints",
                    "s204",
                    "close",
                ):
                    continue
                yield _case(SHAPES[name], kind, method, kind in WELL_FORMED)
                if "gzip" in kind and SHAPES[name].host == wire.HOST and SHAPES[name].via == "egress":
                    # Where a token is put in, egress unpacks what it masks.
                    yield _case(SHAPES[name], kind, method, kind in WELL_FORMED, under="key")


def answers2() -> Iterator[Case]:
    """An HTTP/2 upstream."""
    for shape in SHAPES.values():
        if shape.upstream == 2:
            for kind in _H2:
                for method in ("GET", "HEAD", "POST"):
                    yield _case(shape, kind, method, kind not in ("short", "reset"))


def _case(shape: Shape, kind: str, method: str, whole: bool, under: str = "ok") -> Case:
    case = number()
    path, probe = f"/{under}/{case}/{kind}", f"/ok/{case}/length/probe"
    body = b"asked" if method == "POST" else b""
    # trailers end an answer only where it has content; an answer to HEAD has none of either.
    ends = (
        ("x-end: done",) if kind == "trailers" and (method != "HEAD" or (shape.upstream, shape.http) == (2, 2)) else ()
    )
    content = b"" if kind in _EMPTY or method == "HEAD" else body if kind == "echo" else None
    if kind == "split":
        content = body
    # The server has seen the request in each case, whatever becomes of its answer.
    first = Sent(
        "0" if shape.http == 1 else "1", method, path, body, status=_STATUS.get(kind, 200) if whole else 0,
        content=content, ends=ends,
    )  # fmt: skip
    steps: list[list[Any]]
    if shape.http == 1:
        fields = [f"Content-Length: {len(body)}"] if body else []
        steps = [
            head(method, path, shape.host, *fields, "Accept-Encoding: gzip"), ["send", body.decode()],
            ["answer", method], *([["pause", 0.4]] if kind == "twolater" else []),
            head("GET", probe, shape.host), ["answer", "GET"],
        ]  # fmt: skip
        # Where the answer ends with the connection, or is broken, the second request may go unanswered.
        goes_on = whole and kind not in _CLOSES
        second = Sent("1", "GET", probe, seen="must" if goes_on else "may", status=200 if goes_on else 0)
    else:
        steps = [
            ["headers", 1, pseudo(method, path, shape.host, ("accept-encoding", "gzip")), not body],
            *([["data", 1, body.decode(), True]] if body else []),
            ["wait", 1], ["headers", 3, pseudo("GET", probe, shape.host), True], ["wait", 3],
        ]  # fmt: skip
        second = Sent("3", "GET", probe)
    return Case(f"{shape.name}/answer/{under}/{kind}/{method}", shape, case, tuple(steps), (first, second))


def old_clients() -> Iterator[Case]:
    """HTTP/1.0 clients, which know neither chunks nor informational answers."""
    for name in ("1-1-1", "1-splice-1"):
        for kind in (*WELL_FORMED, "short", "shortchunked", "chunkcut", "shortgzip"):
            shape, case = SHAPES[name], number()
            path = f"/ok/{case}/{kind}"
            steps = (head("GET", path, shape.host, version="HTTP/1.0"), ["answer", "GET"])
            whole = kind in WELL_FORMED
            content = b"" if kind in _EMPTY or kind in ("echo", "split") else None
            sent = (Sent("0", "GET", path, status=_STATUS.get(kind, 200) if whole else 0, content=content),)
            yield Case(f"{name}/old/{kind}", shape, case, steps, sent)


def matrix() -> Iterator[Case]:
    """All of them."""
    yield from answers1()
    yield from answers2()
    yield from old_clients()
