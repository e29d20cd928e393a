"""What is said and done while a part is down. Sources: kill(2), SIGSTOP: the kernel still takes connections for a stopped
process; RFC 9110, 15.6 (5xx) and 8.3 (a body in a form that the client can read).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flows import flow, now
from mitmproxy.test import taddons

from addons.egress import addon as egress_module
from addons.egress import next_hop
from addons.egress.addon import Egress
from addons.egress.next_hop import NextHop
from addons.frame import open_flows
from addons.frame.error_page import error_page
from claude_bottle.policy.refusal import Refusal


@pytest.mark.parametrize("part", ["egress", "pipelock"])
@pytest.mark.parametrize(
    ("status", "message", "words"),
    [
        (502, "anything that <b>an upstream</b> has said, ghp_secret", "cannot be reached"),
        (502, "server closed connection", "closed the connection"),
        (400, "HTTP protocol error", "not valid HTTP"),
    ],
)
def test_an_error_is_json_that_names_the_part(part: str, status: int, message: str, words: str) -> None:
    body = json.loads(error_page(part, status, message))
    assert (body["failed_at"], body["status"]) == (part, status)
    assert words in body["message"]
    assert ("help" in body) == (status >= 500)
    assert "ghp_secret" not in json.dumps(body)


def test_a_next_hop_that_is_down_offers_no_approval() -> None:
    body = json.loads(Refusal("egress", "next_hop", "x", 503).body(method="GET", host="h", path="/"))
    assert "ask_with" not in body
    assert "bottle repair" in body["no_approval"]


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
    now, durations = [0.0], list[float]()
    monkeypatch.setattr(next_hop.time, "monotonic", lambda: now[0])
    lost: Callable[[float], None] = durations.append
    hop = NextHop("x", 1, lost)
    for seconds, answered in ((5, True), (10, False), (70, False), (71, True), (72, False)):
        now[0] = seconds
        hop.take(answered)
    assert durations == [5, 65, 1]
    lines = [json.loads(line)["outcome"] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["does not answer", "answers", "does not answer"]


_ANSWERS = """
import socket
listen = socket.create_server(("127.0.0.1", 0))
print(listen.getsockname()[1], flush=True)
while True:
    client, _ = listen.accept()
    client.recv(1000)
    client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    client.close()
"""


@pytest.fixture
def behind() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that answers, and its port."""
    with subprocess.Popen([sys.executable, "-c", _ANSWERS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def test_egress_says_so_while_pipelock_is_paused_and_ends_what_waits_for_it(
    behind: tuple[subprocess.Popen[str], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, port = behind
    monkeypatch.setattr(next_hop, "_PATIENCE", 0.3)
    monkeypatch.setattr(next_hop, "_EVERY", 0.05)
    monkeypatch.setattr(next_hop, "_SOON", 0.05)
    monkeypatch.setattr(egress_module, "_WAITING", 0.5)
    monkeypatch.setenv("EGRESS_UPSTREAM", f"127.0.0.1:{port}")
    ended: list[str] = []
    monkeypatch.setattr(open_flows, "end_flow", lambda some: ended.append(some.id))
    (tmp_path / "routes.json").write_text('{"version": 1, "routes": [{"host": "open.example.org"}]}')
    addon = Egress(tmp_path / "routes.json", tmp_path / "none.json", tmp_path)

    def ask(url: str) -> tuple[int, str]:
        exchange = flow(url)
        now(addon.requestheaders(exchange))
        now(addon.request(exchange))
        return (exchange.response.status_code, exchange.response.text or "") if exchange.response else (0, exchange.id)

    async def until(status: int, through: bool) -> None:
        while True:
            got, body = ask("http://_egress.local/health")
            if (got, json.loads(body)["through"], json.loads(body)["status"]) == (status, through, "ok"):
                return
            await asyncio.sleep(0.02)

    async def go() -> None:
        with taddons.context(addon):
            addon.running()
            await until(200, True)
            status, waits = ask("https://open.example.org/x")
            assert status == 0
            os.kill(process.pid, signal.SIGSTOP)
            await until(503, False)
            status, body = ask("https://open.example.org/x")
            assert (status, json.loads(body)["reason"]) == (503, "next_hop")
            assert "pipelock" in json.loads(body)["message"]
            while not ended:
                await asyncio.sleep(0.02)
            assert ended == [waits]
            os.kill(process.pid, signal.SIGCONT)
            await until(200, True)
            assert ask("https://open.example.org/x")[0] == 0
            addon.done()

    asyncio.run(go())


@pytest.mark.parametrize(
    ("answer", "healthy"),
    [(b"HTTP/1.1 200 OK\r\n\r\n", True), (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False), (b"", False)],
)
def test_the_health_of_a_container_is_what_its_proxy_says(answer: bytes, healthy: bool) -> None:
    script = Path(__file__).resolve().parents[2] / "sidecar_images/proxy/healthy.sh"
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listen:

        def serve() -> None:
            client, _ = listen.accept()
            with client:
                head = b""
                while not head.endswith(b"\r\n\r\n"):  # the shell may write it in pieces
                    head += client.recv(1000)
                asked.append(head)
                client.sendall(answer)

        serving = threading.Thread(target=serve)
        serving.start()
        done = subprocess.run([script, str(listen.getsockname()[1]), "_egress.local"], check=False)
        serving.join()
    assert (done.returncode == 0) is healthy
    assert asked[0].startswith(b"GET http://_egress.local/health HTTP/1.1\r\n")
