"""Random examples of test_framing_fuzz.py: a well-formed message, and changes to it that can be left out one by one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from framing_cases import SHAPES, number
from framing_lab import Outcome
from framing_rule import Case, Sent, Shape
from lab import wire
from lab.reference import read_requests

BYTES = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\0",
    b"\t",
    b" ",
    b":",
    b";",
    b",",
    b"\x0b",
    b"\xff",
    b"0",
    b"\r\n\r\n",
    b"\x7f",
    b"+",
    b"#",
]
LINES = [
    b"Transfer-Encoding: chunked", b"Content-Length: 3", b"Content-Length: 0", b"Connection: close", b"Expect: 100-continue",
    b"Connection: content-length", b"Upgrade: h2c", b"TE: trailers", b"Trailer: x", b"Host: other.example.com", b" folded",
    b"Transfer-Encoding: identity", b"Content-Encoding: gzip", b"Connection: keep-alive, x",
]  # fmt: skip
FIELDS = [
    ["content-length", "3"], ["content-length", "0"], ["transfer-encoding", "chunked"], ["host", "other.example.com"],
    ["x", "a\r\nb: c"], ["x\r\ny", "a"], ["te", "trailers"], ["connection", "close"], ["cookie", "a"], ["cookie", "b"],
    [":path", "/admin/"], [":method", "DELETE"], [":authority", "other.example.com"], ["x", "\0"], ["X", "a"], ["", "a"],
    ["expect", "100-continue"], ["trailer", "x"], ["x", " a "], ["content-length", "99999"],
]  # fmt: skip
Frame = tuple[int, int, int, Any]  # kind, flags, stream, and bytes or the fields of a header block


@dataclass(frozen=True)
class Example:
    """A message by its seed, and the changes to it by theirs."""

    shape: Shape
    seed: int
    changes: tuple[int, ...]
    id: str = field(default_factory=number)

    def smaller(self) -> Iterator[Example]:
        for at in range(len(self.changes)):
            yield replace(self, changes=self.changes[:at] + self.changes[at + 1 :], id=number())

    @cached_property
    def _case(self) -> Case:
        if self.shape.http == 1:
            data = self.stream()
            steps: list[list[Any]] = [["send", data.decode("latin-1")]]
            known = [
                known_as(str(at), *request) for at, request in enumerate(read_requests(data))
            ]  # fmt: skip
        else:
            frames = self.frames()
            steps = [["raw", b"".join(map(encode, frames)).hex()]]
            known = list(streams(frames))
        return Case(f"fuzz/{self.shape.name}", self.shape, self.id, tuple(steps), tuple(known), partial=True)

    def case(self) -> Case:
        return self._case

    def shown(self) -> Any:
        return self.stream() if self.shape.http == 1 else self.frames()

    def stream(self) -> bytes:
        """The bytes of an HTTP/1.1 client."""
        rng, parts = random.Random(self.seed), []
        for at in range(rng.randint(1, 2)):
            path, body = (
                f"/ok/{self.id}/{rng.choice(['length', 'chunked', 'echo'])}/{at}",
                wire.filler(rng.choice([0, 1, 20, 3000])),
            )
            head = f"{rng.choice(['GET', 'POST', 'PURGE'])} {path} HTTP/1.1\r\nHost: {self.shape.host}\r\n"
            if rng.random() < 0.5:
                trailers = [("x-end", "a")] if rng.random() < 0.3 else []
                parts.append(
                    head.encode()
                    + b"Transfer-Encoding: chunked\r\n\r\n"
                    + wire.chunked(body, rng.choice([1, 7, 999]), trailers)
                )
            else:
                parts.append(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        host = self.shape.host if self.shape.via == "egress" else "other.example.com"
        data = b"".join(parts) + f"DELETE /admin/{self.id}/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        for seed in self.changes:
            data = change_bytes(random.Random(seed), data)
        return data

    def frames(self) -> list[Frame]:
        """The frames of an HTTP/2 client."""
        rng, frames = random.Random(self.seed), []
        for stream in range(1, 2 * rng.randint(1, 3), 2):
            path, body = (
                f"/ok/{self.id}/{rng.choice(['length', 'chunked', 'echo'])}/{stream}",
                wire.filler(rng.choice([0, 1, 20, 3000])),
            )
            fields = [
                [":method", rng.choice(["GET", "POST"])],
                [":scheme", "https"],
                [":authority", self.shape.host],
                [":path", path],
            ]
            fields += [["content-length", str(len(body))]] if rng.random() < 0.5 else []
            trailers, size = rng.random() < 0.3, rng.choice([5, 1000])
            frames.append((wire.HEADERS, wire.END_HEADERS, stream, fields))
            pieces = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
            frames += [(wire.DATA, int(piece is pieces[-1] and not trailers), stream, piece) for piece in pieces]
            frames += [(wire.HEADERS, 5, stream, [["x-end", "a"]])] if trailers else []
        for seed in self.changes:
            frames = change_frames(random.Random(seed), frames)
        return frames


def examples(rng: random.Random, count: int) -> Iterator[Example]:
    shapes = list(SHAPES.values())
    for at in range(count):
        changes = tuple(rng.randrange(1 << 32) for _ in range(rng.choice([0, 1, 1, 2, 3])))
        yield Example(shapes[at % len(shapes)], rng.randrange(1 << 32), changes)


def change_bytes(rng: random.Random, data: bytes) -> bytes:
    at, lines = rng.randrange(len(data) + 1), data.split(b"\r\n")
    row = rng.randrange(len(lines))
    kind = rng.randrange(9)
    if kind == 0:
        return data[:at] + rng.choice(BYTES) + data[at:]
    if kind == 1:
        return data[:at] + data[at + rng.choice([1, 1, 2, 9]) :]
    if kind == 2:
        return data[:at]
    if kind == 3:
        return b"\r\n".join([*lines[:row], rng.choice(lines), *lines[row:]])
    if kind == 4:
        return b"\r\n".join([*lines[:row], rng.choice(LINES), *lines[row:]])
    if kind == 5:
        return b"\r\n".join(lines[:row]) + rng.choice([b"\n", b"\r", b" \r\n", b"\r\r\n"]) + b"\r\n".join(lines[row:])
    if kind == 6:
        heads = [
            n for n, line in enumerate(lines) if line.lower().startswith((b"content-length", b"transfer", b"host"))
        ] or [row]
        lines[rng.choice(heads)] = rng.choice([*LINES, b""])
        return b"\r\n".join(lines)
    if kind == 7:
        words = [n for n, line in enumerate(lines) if line[:1].isalnum()] or [row]
        row = rng.choice(words)
        inside = rng.randrange(len(lines[row]) + 1)
        lines[row] = lines[row][:inside] + rng.choice(BYTES) + lines[row][inside:]
        return b"\r\n".join(lines)
    return data.replace(
        rng.choice([b"HTTP/1.1", b"GET", b"POST", b": "]), rng.choice([b"HTTP/1.0", b"get", b" :", b":", b"HTTP/2"]), 1
    )


def change_frames(rng: random.Random, frames: list[Frame]) -> list[Frame]:
    changed_frames = list(frames)
    at = rng.randrange(len(changed_frames) + 1)
    kind = rng.randrange(12)
    if kind == 0 and changed_frames:
        changed_frames.insert(at, rng.choice(changed_frames))
    elif kind == 1 and changed_frames:
        changed_frames.pop(rng.randrange(len(changed_frames)))
    elif kind == 2:
        rng.shuffle(changed_frames)
    elif kind == 3:
        changed_frames.insert(at, (wire.RST_STREAM, 0, rng.choice([1, 3]), (8).to_bytes(4, "big")))
    elif kind == 4:
        changed_frames[at:at] = [(wire.DATA, 0, rng.choice([1, 3]), b"")] * rng.choice([1, 40])
    elif kind == 5:
        changed_frames[at:at] = [
            (wire.SETTINGS, 0, 0, b"\0\x04" + rng.randrange(1 << 31).to_bytes(4, "big"))
        ] * rng.choice([1, 60])
    elif kind == 6:
        other = [(wire.PING, 0, 0, b"12345678"), (wire.WINDOW_UPDATE, 0, rng.choice([0, 1]), (1000).to_bytes(4, "big")),
                 (wire.PRIORITY, 0, 1, b"\0\0\0\3\x10"), (0x42, 0, 1, b"hello"), (wire.GOAWAY, 0, 0, bytes(8))]  # fmt: skip
        changed_frames.insert(at, rng.choice(other))
    elif kind == 7:
        changed_frames.insert(
            at, (wire.DATA, rng.choice([0, 1]), rng.choice([1, 3]), b"DELETE /admin/ HTTP/1.1\r\n\r\n")
        )
    elif changed_frames:
        return change_one(rng, changed_frames, kind)
    return changed_frames


def change_one(rng: random.Random, frames: list[Frame], kind: int) -> list[Frame]:
    """One frame is changed or split."""
    at = rng.randrange(len(frames))
    number_, flags, stream, payload = frames[at]
    if isinstance(payload, bytes):
        if kind == 8 and number_ == wire.DATA:  # padding, which is no data
            frames[at] = (
                number_,
                flags | wire.PADDED,
                stream,
                bytes([len(payload) % 5]) + payload + bytes(len(payload) % 5),
            )
        else:
            frames[at] = (number_, flags ^ rng.choice([1, 4, 0x40]), stream, payload)
        return frames
    fields = [list(pair) for pair in payload]
    if kind == 8:
        fields.insert(rng.randrange(len(fields) + 1), list(rng.choice(FIELDS)))
    elif kind == 9:
        rng.shuffle(fields)
    elif kind == 10:
        one = rng.choice(fields)
        one[rng.randrange(2)] += rng.choice(["\r", "\n", "\0", " ", ":", "\r\nx: y", "5", "\xe4"])
    else:
        block = wire.hpack(fields)
        cut = rng.randrange(len(block) + 1)
        rest = [
            (wire.CONTINUATION, 0, stream, block[cut : cut + 9]),
            (wire.CONTINUATION, wire.END_HEADERS, stream, block[cut + 9 :]),
        ]
        frames[at : at + 1] = [(number_, flags & ~wire.END_HEADERS, stream, block[:cut]), *rest]
        return frames
    frames[at] = (number_, flags, stream, fields)
    return frames


def encode(frame: Frame) -> bytes:
    kind, flags, stream, payload = frame
    return wire.frame(kind, flags, stream, payload if isinstance(payload, bytes) else wire.hpack(payload))


def streams(frames: list[Frame]) -> Iterator[Sent]:
    """The requests that frames make, each stream read on its own: no other may ever arrive."""
    heads: dict[int, dict[str, str]] = {}
    blocks: dict[int, tuple[int, bytes]] = {}
    bodies: dict[int, bytes] = {}
    trailers: dict[int, tuple[str, ...]] = {}
    for kind, flags, stream, payload in frames:
        ends = kind in (wire.DATA, wire.HEADERS) and bool(flags & wire.END_STREAM)
        if kind in (wire.HEADERS, wire.CONTINUATION):
            block = payload if isinstance(payload, bytes) else wire.hpack(payload)
            started, before = blocks.pop(stream, (flags, b"")) if kind == wire.CONTINUATION else (flags, b"")
            if not flags & wire.END_HEADERS:
                blocks[stream] = (started, before + block)
                continue
            fields, ends = wire.unpack(before + block), bool(started & wire.END_STREAM)
            if stream not in heads:
                heads[stream] = dict(fields)
            else:
                trailers[stream] = tuple(f"{name}: {value.strip()}" for name, value in fields)
        elif kind == wire.DATA and stream in heads:
            data = payload[1 : len(payload) - payload[0]] if flags & wire.PADDED and payload else payload
            bodies[stream] = bodies.get(stream, b"") + data
        if ends and stream in heads:
            head = {":method": "", ":path": "", **heads[stream]}
            yield known_as(
                str(stream), head[":method"], head[":path"], bodies.get(stream, b""), trailers.get(stream, ())
            )


def known_as(key: str, method: str, path: str, body: bytes, trailers: tuple[str, ...]) -> Sent:
    content = body if "/echo/" in path and method != "HEAD" else None
    return Sent(key, method, path, body, trailers, seen="may", status=0, content=content, may_drop=True)


def strays(example: Example, outcome: Outcome) -> list[str]:
    """What no change may bring about, whatever is known of the message."""
    return [f"seen: {line['method']} {line['path']}" for line in outcome.seen if "/admin" in line["path"]]
