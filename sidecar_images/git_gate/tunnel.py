"""An upstream behind the forward proxy of the owner's network: ssh's ProxyCommand, and settings for git.

    python3 -m git_gate.tunnel HOST PORT     the tunnel, on standard input and output

The owner provides the files `proxy` (host:port) and `proxy.login` (user:password). Without the first, connections are
direct.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

from claude_bottle.policy.forward_proxy import HEAD_LIMIT, SECONDS, check_answer, connect_head, parse_proxy
from claude_bottle.policy.names.files import GATE_ETC

ETC = Path(GATE_ETC)
_PIECE = 1 << 16


def proxy_of(etc: Path = ETC) -> str:
    """host:port of the forward proxy; "" for none."""
    return _text(etc / "proxy")


def login_of(etc: Path = ETC) -> str:
    """user:password for the forward proxy; "" for none."""
    return _text(etc / "proxy.login")


def git_settings(etc: Path = ETC) -> list[tuple[str, str]]:
    """git's settings for an https upstream. They are passed as variables, so that no argument holds the login."""
    if not (proxy := proxy_of(etc)):
        return []
    user, _, password = login_of(etc).partition(":")
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
    return [("http.proxy", f"http://{login}{proxy}"), ("http.proxyAuthMethod", "basic")]


def ssh_option(etc: Path = ETC) -> str:
    """An addition to ssh's command line, quoted for a shell; "" without a forward proxy."""
    if not proxy_of(etc):
        return ""
    packages = Path(__file__).resolve().parents[1]
    return f" -o 'ProxyCommand=env PYTHONPATH={packages} python3 -m git_gate.tunnel %h %p'"


def opened(host: str, port: int, proxy: str, login: str) -> socket.socket:
    """A connection to the upstream through the proxy. Raises OSError."""
    until = time.monotonic() + SECONDS
    connected = socket.create_connection(parse_proxy(proxy), timeout=SECONDS)
    try:
        connected.sendall(connect_head(host, port, login))
        head = b""
        while not head.endswith(b"\r\n\r\n"):  # byte by byte, because the bytes after the head are the upstream's
            if (left := until - time.monotonic()) <= 0:
                raise OSError(f"the forward proxy {proxy} did not answer within {SECONDS:g} seconds")
            connected.settimeout(left)
            data = connected.recv(1)
            head += data
            if not data or len(head) > HEAD_LIMIT:
                raise OSError("the forward proxy's answer is not HTTP")
        check_answer(head, proxy, host)
    except BaseException:
        connected.close()
        raise
    connected.settimeout(None)
    return connected


def relay(connected: socket.socket) -> None:
    """Copy both ways until the upstream has closed its side."""

    def up() -> None:
        with contextlib.suppress(OSError):
            while data := os.read(0, _PIECE):
                connected.sendall(data)
            connected.shutdown(socket.SHUT_WR)

    threading.Thread(target=up, daemon=True).start()
    with connected.makefile("rb", buffering=0) as answers, open(1, "wb", buffering=0, closefd=False) as out:
        shutil.copyfileobj(answers, out, _PIECE)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    try:
        relay(opened(sys.argv[1], int(sys.argv[2]), proxy_of(), login_of()))
    except OSError as error:
        sys.exit(str(error))
