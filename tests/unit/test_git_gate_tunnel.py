"""git-gate by a forward proxy: what git and ssh are told, and a tunnel to a name. RFC 9110: 9.3.6 (CONNECT), 11.7 (logins)."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidecar_images.git_gate.remotes import Remote
from sidecar_images.git_gate.tunnel import git_settings, opened, ssh_option

PROXY = "proxy.corp.example.com:3128"


@contextmanager
def forward_proxy(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Takes the head of a CONNECT, gives an answer, and is then the upstream, which says what it hears."""
    heads: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            client, _ = server.accept()
        except OSError:
            return
        with client, contextlib.suppress(ConnectionError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(100)
            heads.append(head)
            client.sendall(answer)
            while data := client.recv(100):
                client.sendall(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}", heads
    finally:
        server.close()
        thread.join(5)


def test_without_a_forward_proxy_nothing_is_told(tmp_path: Path) -> None:
    assert git_settings(tmp_path) == []
    assert ssh_option(tmp_path) == ""


def test_what_git_and_ssh_are_told_has_no_login_in_an_argument(tmp_path: Path) -> None:
    (tmp_path / "proxy").write_text(PROXY)
    (tmp_path / "proxy.login").write_text("me@corp:a/b:c\n")
    (tmp_path / "x.token").write_text("t")
    https = Remote("x", "https://git.example.com/a/b").environment(tmp_path)
    settings = {
        https[f"GIT_CONFIG_KEY_{i}"]: https[f"GIT_CONFIG_VALUE_{i}"] for i in range(int(https["GIT_CONFIG_COUNT"]))
    }
    assert settings["http.proxy"] == f"http://me%40corp:a%2Fb%3Ac@{PROXY}"
    ssh = Remote("x", "ssh://git@git.example.com/a/b").environment(tmp_path)
    assert "git_gate.tunnel %h %p" in ssh["GIT_SSH_COMMAND"]
    assert "corp:a" not in ssh["GIT_SSH_COMMAND"]


def test_a_tunnel_has_the_name_and_the_login_and_what_is_behind_the_head() -> None:
    with forward_proxy(b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\nSSH-2.0-x\r\n") as (proxy, heads):
        with opened("git.example.com", 22, proxy, "me:word") as connection:
            connection.sendall(b"hello")
            assert connection.recv(11, socket.MSG_WAITALL) == b"SSH-2.0-x\r\n"
            assert connection.recv(5, socket.MSG_WAITALL) == b"hello"
        assert heads[0].startswith(b"CONNECT git.example.com:22 HTTP/1.1\r\nHost: git.example.com:22\r\n")
        assert b"Proxy-Authorization: Basic bWU6d29yZA==\r\n" in heads[0]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", r"status 407\); it wants a login: pipelock.upstream_proxy_ref"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", r"gives no tunnel to git.example.com \(status 403\)"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20_000, "is not HTTP"),
    ],
)  # fmt: skip
def test_an_answer_that_gives_no_tunnel_is_an_error(answer: bytes, words: str) -> None:
    with forward_proxy(answer) as (proxy, _), pytest.raises(OSError, match=words):
        opened("git.example.com", 22, proxy, "")


def test_the_command_relays_until_the_upstream_ends(tmp_path: Path) -> None:
    """As ssh runs it; the place of the files is that of the container, so the module's own is set."""
    with forward_proxy(b"HTTP/1.1 200 OK\r\n\r\n") as (proxy, _):
        script = (
            "from sidecar_images.git_gate import tunnel;"
            f"tunnel.relay(tunnel.opened('git.example.com', 22, {proxy!r}, ''))"
        )
        root = Path(__file__).parents[2]
        done = subprocess.run(
            ["python3", "-c", script], cwd=root, input=b"ping" * 50_000, capture_output=True, timeout=200, check=True
        )
    assert done.stdout == b"ping" * 50_000
