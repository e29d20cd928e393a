"""WebSockets: messages pass whole, and nothing that a control frame holds reaches the other side (RFC 6455, 5.5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from framing_cases import SHAPES, number
from framing_lab import Outcome
from framing_rule import Case, Sent
from lab import wsframes
from lab.wsframes import BINARY, CLOSE, CONTINUED, PING, PONG, TEXT

CANARY = "secret-of-the-client"
# The key is sixteen zeros, which no scanner takes for a secret.
_UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
_DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n"
_CODE = "\x03\xe8"


@dataclass(frozen=True)
class Talk:
    """What a client sends on a WebSocket, and what each side has to get as messages. pongs: payloads the client gets."""

    name: str
    does: str
    frames: tuple[list[Any], ...]
    to_server: tuple[str, ...] = ()
    to_client: tuple[str, ...] = ()
    pongs: tuple[str, ...] = ()
    deflate: bool = False


def _frame(opcode: int, payload: str, **flags: bool) -> list[Any]:
    return ["frame", opcode, payload, flags]


_ONE = wsframes.deflate(b"one two three " * 10).decode("latin-1")
TALKS = (
    Talk("text", "echo", (_frame(TEXT, "hello"),), ("hello",), ("hello",)),
    Talk("binary", "echo", (_frame(BINARY, "\xff\x00"),), ("\xff\x00",), ("\xff\x00",)),
    Talk("long", "echo", (_frame(TEXT, "a" * 70_000),), ("a" * 70_000,), ("a" * 70_000,)),
    Talk("empty", "echo", (_frame(TEXT, ""),), ("",), ("",)),
    Talk("client-fragments", "echo", (
        _frame(TEXT, "one ", fin=False), _frame(PING, CANARY), _frame(CONTINUED, "", fin=False), _frame(CONTINUED, "two"),
    ), ("one two",), ("one two",), (CANARY,)),
    Talk("server-fragments", "fragments", (), (), ("one two three",)),
    Talk("client-deflates", "echo", (_frame(TEXT, _ONE, rsv1=True),), ("one two three " * 10,), ("one two three " * 10,), deflate=True),
    Talk("server-deflates", "deflated", (), (), ("one two three " * 10,), deflate=True),
    Talk("client-ping", "quiet", (_frame(PING, CANARY), _frame(PING, "")), pongs=(CANARY, "")),
    Talk("client-pings", "quiet", tuple(_frame(PING, f"{CANARY}{n}") for n in range(9)), pongs=tuple(f"{CANARY}{n}" for n in range(9))),
    Talk("client-pong", "quiet", (_frame(PONG, CANARY), _frame(PONG, CANARY))),
    Talk("client-close", "quiet", (_frame(CLOSE, _CODE + CANARY),)),
    Talk("client-close-long", "quiet", (_frame(CLOSE, _CODE + (CANARY * 7)[:123]),)),
    Talk("client-close-code", "quiet", (_frame(CLOSE, "\0\1" + CANARY),)),
    Talk("client-close-byte", "quiet", (_frame(CLOSE, "c"),)),
    Talk("client-after-close", "quiet", (_frame(CLOSE, _CODE), _frame(TEXT, CANARY), _frame(PING, CANARY))),
    Talk("server-ping", "ping", (["pause", 0.3], _frame(PONG, ""))),
    Talk("server-pong", "pong", ()),
    Talk("server-close", "close", ()),
    Talk("ping-too-long", "quiet", (_frame(PING, (CANARY * 20)[:130]),)),
    Talk("ping-in-fragments", "quiet", (_frame(PING, CANARY, fin=False), _frame(CONTINUED, CANARY))),
    Talk("opcode-3", "quiet", (_frame(3, CANARY),)),
    Talk("opcode-11", "quiet", (_frame(11, CANARY),)),
    Talk("rsv1-unasked", "quiet", (_frame(TEXT, CANARY, rsv1=True),)),
    Talk("continuation-alone", "quiet", (_frame(CONTINUED, CANARY),)),
    Talk("text-in-fragments", "quiet", (_frame(TEXT, "a", fin=False), _frame(TEXT, CANARY))),
    Talk("not-utf8", "quiet", (_frame(TEXT, f"{CANARY}\xff"),)),
    Talk("not-deflate", "quiet", (_frame(TEXT, f"\xff\xff{CANARY}", rsv1=True),), deflate=True),
)  # fmt: skip


def cases() -> Iterator[tuple[Talk, Case]]:
    """Each talk by each way (HTTP/1.1 only)."""
    for name in ("1-1-1", "1-splice-1", "1-pipelock-1"):
        for talk in TALKS:
            shape, case = SHAPES[name], number()
            path = f"/ok/{case}/ws/{talk.does}{'/deflate' if talk.deflate else ''}"
            head = f"GET {path} HTTP/1.1\r\nHost: {shape.host}\r\n{_UPGRADE}{_DEFLATE if talk.deflate else ''}\r\n"
            steps = (["send", head], ["answer", "GET"], *talk.frames, ["frames", len(talk.to_client) + len(talk.pongs)])
            yield (
                talk,
                Case(
                    f"{name}/websocket/{talk.name}",
                    shape,
                    case,
                    steps,
                    (Sent("0", "GET", path, status=0),),
                    partial=True,
                ),
            )


def faults(talk: Talk, outcome: Outcome) -> list[str]:
    """What is wrong with what each side got."""
    to_client = outcome.result.get("frames", [])
    to_server = [line for line in outcome.strict if line["kind"] == "frame"]
    problems = []
    if [answer.get("status") for answer in outcome.result.get("answers", [])] != [101]:
        return [f"no upgrade: {outcome.result}"]
    if (got := tuple(messages(to_server))) != talk.to_server:
        problems.append(f"the server got {str(got)[:200]}")
    if (got := tuple(messages(to_client))) != talk.to_client:
        problems.append(f"the client got {str(got)[:200]}")
    if (pongs := tuple(f["payload"] for f in to_client if f["opcode"] == PONG)) != talk.pongs:
        problems.append(f"its pings were answered with {pongs}")
    if not all(frame["masked"] for frame in to_server) or any(frame["masked"] for frame in to_client):
        problems.append("masking")
    for canary, side in (("secret-of", to_server), ("canary-of", to_client)):
        if carried := [frame for frame in side if canary in frame["payload"]]:
            problems.append(f"{canary} was carried over: {carried}")
    # A ping of the server comes back to it as it was.
    if talk.does == "ping" and [f["payload"] for f in to_server if f["opcode"] == PONG] != [wsframes.CANARY.decode()]:
        problems.append(f"the server's ping was answered with {to_server}")
    return problems


def messages(frames: list[dict[str, Any]]) -> Iterator[str]:
    """The messages in frames, put together and inflated."""
    whole, deflated = "", False
    for frame in frames:
        if frame["opcode"] in (TEXT, BINARY, CONTINUED):
            deflated = frame["rsv1"] if frame["opcode"] != CONTINUED else deflated
            whole += frame["payload"]
            if frame["fin"]:
                yield wsframes.inflate(whole.encode("latin-1")).decode() if deflated else whole
                whole = ""
