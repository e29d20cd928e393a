"""What is said and done while a part is down. Sources: kill(2), SIGSTOP: the kernel still takes connections for a stopped
process; RFC 9110, 15.6 (5xx) and 8.3 (a body in a form that the client can read).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from addons import next_hop
from addons.error_page import error_page
from addons.next_hop import NextHop
from addons.refusal import Refusal


@pytest.mark.parametrize("part", ["egress", "pipelock"])
@pytest.mark.parametrize(
    ("status", "message", "words"),
    [
        (502, "anything that <b>an upstream</b> has said, ghp_secret", "cannot be reached"),
        (502, "Certificate verify failed: certificate has expired", "certificate has expired"),
        (502, "server closed connection", "server closed connection"),
        (400, "HTTP protocol error", "not valid HTTP"),
    ],
)
def test_an_error_is_json_that_names_the_part(part: str, status: int, message: str, words: str) -> None:
    told = json.loads(error_page(part, status, message))
    assert (told["failed_in"], told["status"]) == (part, status)
    assert words in told["message"]
    assert ("help" in told) == (status >= 500)
    assert "ghp_secret" not in json.dumps(told)


def test_a_next_hop_that_is_down_offers_no_approval() -> None:
    told = json.loads(Refusal("egress", "next_hop", "x", 503).body(method="GET", host="h", path="/"))
    assert "ask_with" not in told
    assert "make repair" in told["no_approval"]


async def _look(answer: bytes | None, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(next_hop, "_PATIENCE", 0.3)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is not None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            writer.close()
        else:
            await asyncio.sleep(1)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        return await NextHop("127.0.0.1", server.sockets[0].getsockname()[1], lambda _: None).look()


@pytest.mark.parametrize(
    ("answer", "alive"),
    [(b"HTTP/1.1 200 OK\r\n\r\n", True), (b"HTTP/1.1 403 Forbidden\r\n\r\n", True), (b"", False), (b"220 x", False),
     (None, False)],
)  # fmt: skip
def test_any_answer_of_http_counts(answer: bytes | None, alive: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asyncio.run(_look(answer, monkeypatch)) is alive


def test_nobody_listens() -> None:
    assert asyncio.run(NextHop("127.0.0.1", 1, lambda _: None).look()) is False


def test_what_waits_is_ended_only_after_a_while(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now, told = [0.0], list[float]()
    monkeypatch.setattr(next_hop.time, "monotonic", lambda: now[0])
    lost: Callable[[float], None] = told.append
    hop = NextHop("x", 1, lost)
    for seconds, answered in ((5, True), (10, False), (70, False), (71, True), (72, False)):
        now[0] = seconds
        hop.take(answered)
    assert told == [5, 65, 1]
    lines = [json.loads(line)["outcome"] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["does not answer", "answers", "does not answer"]
