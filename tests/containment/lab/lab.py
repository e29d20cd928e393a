"""Both proxies and two strict servers in one container without a network, and the clients that send cases through them.

Reads a line of JSON with what a bottle would put into the containers, then cases, one a line:
{"id", "host", "via": "egress" | "pipelock", "alpn": [...], "steps": [...], "http": 1 | 2}, run many at a time.
Writes a line for each: what came back; and for {"end": true}, once all are over, all that servers and logs said.
For the steps of a case see client1.py and client2.py. `id` is in the path of every request of its case.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from lab import client1, client2, wire
from lab.certificates import certificate, key_pem, pem

PORTS = {"egress": 8080, "pipelock": 8888}
QUIET = float(os.environ.get("LAB_QUIET", "0.5"))  # seconds without a byte after which a case is over
TOGETHER = int(os.environ.get("LAB_TOGETHER", "24"))


def prepare(given: dict[str, Any]) -> None:
    """Write what the components of a bottle would put into the containers."""
    root = certificate("root")
    leaf = certificate("leaf", root, (wire.HOST, wire.SPLICED, wire.HOST2, wire.SPLICED2))
    egress, pipelock = certificate("egress"), certificate("pipelock")
    for folder in ("/etc/claude-bottle", "/etc/pipelock", "/run/claude-bottle/egress"):
        Path(folder).mkdir(parents=True, exist_ok=True)
    files = {
        "/lab/server.pem": key_pem(leaf[1]) + pem(leaf[0]),
        # What a client trusts: egress, pipelock (bottles without routes), and the real servers where both splice.
        "/lab/trusted.pem": pem(egress[0]) + pem(pipelock[0]) + pem(root[0]),
        "/etc/claude-bottle/mitmproxy-ca.pem": key_pem(egress[1]) + pem(egress[0]),
        "/etc/claude-bottle/upstream-ca.pem": pem(pipelock[0]) + pem(root[0]),
        "/etc/claude-bottle/tokens.json": json.dumps(given["tokens"]).encode(),
        "/etc/claude-bottle/routes.json": given["routes"].encode(),
        "/etc/pipelock/ca.pem": pem(pipelock[0]),
        "/etc/pipelock/ca-key.pem": key_pem(pipelock[1]),
        "/etc/pipelock/upstream-roots.pem": pem(root[0]),
        "/etc/pipelock/pipelock.yaml": given["pipelock"].encode(),
    }
    for path, data in files.items():
        Path(path).write_bytes(data)


class Process:
    """A part of the lab, whose lines are kept."""

    def __init__(self, name: str, argv: list[str], env: dict[str, str] | None = None) -> None:
        self.name, self.lines = name, []  # type: ignore[var-annotated]
        with Path(f"/lab/{name}.err").open("wb") as errors:
            self.process = subprocess.Popen(
                argv, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **(env or {})}
            )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            if line.startswith("{"):
                self.lines.append(json.loads(line))

    def errors(self) -> str:
        return Path(f"/lab/{self.name}.err").read_text(errors="replace")


def proxy(role: str) -> Process:
    run = f"/run/claude-bottle/{role}"
    env = {
        "EGRESS_UPSTREAM": f"127.0.0.1:{PORTS['pipelock']}", "EGRESS_UPSTREAM_CA": f"{run}/bundle.pem",
        "CLAUDE_BOTTLE_RUN": run, "PYTHONPATH": "/app",
    }  # fmt: skip
    Path(run).mkdir(parents=True, exist_ok=True)
    return Process(role, ["/app/entrypoint.sh", role], env)


def server(file: str, address: str) -> Process:
    return Process(file, [sys.executable, "-u", "-m", f"lab.{file}", address, "/lab/server.pem"])


def tunnel(case: dict[str, Any]) -> ssl.SSLSocket:
    """A TLS connection to the case's host through the proxy that it names."""
    host = case.get("host", wire.HOST)
    raw = socket.create_connection(("127.0.0.1", PORTS[case.get("via", "egress")]), timeout=client1.PATIENCE)
    raw.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
    got = b""
    while b"\r\n\r\n" not in got:
        piece = raw.recv(4096)
        if not piece:
            raise OSError("no tunnel")
        got += piece
    context = ssl.create_default_context(cafile="/lab/trusted.pem")
    context.set_alpn_protocols(case["alpn"])
    return context.wrap_socket(raw, server_hostname=host)


def run(case: dict[str, Any]) -> dict[str, Any]:
    begun = time.monotonic()
    try:
        with tunnel(case) as conn:
            client = client2 if case["http"] == 2 else client1
            if conn.selected_alpn_protocol() != ("h2" if case["http"] == 2 else "http/1.1"):
                return {"failed": f"ALPN is {conn.selected_alpn_protocol()}"}
            result = client.run(conn, case["steps"], case.get("quiet", QUIET), case.get("patience", client1.PATIENCE))
    except Exception as error:
        result = {"failed": f"{type(error).__name__}: {error}"}
    return {**result, "seconds": round(time.monotonic() - begun, 2)}


def bring_up() -> list[Process]:
    parts = [server("strict", "127.0.0.1"), server("strict2", "127.0.0.2"), proxy("pipelock"), proxy("egress")]
    until = time.monotonic() + 60
    while time.monotonic() < until:
        live = [any(re.search("live|ready", json.dumps(line)) for line in part.lines) for part in parts]
        if all(live):
            time.sleep(0.3)
            return parts
        time.sleep(0.1)
    sys.exit("\n".join(f"{part.name}: {part.errors()[-1500:]} {part.lines[-3:]}" for part in parts))


def say(line: dict[str, Any]) -> None:
    with SAYING:
        print(json.dumps(line), flush=True)


def settled(parts: list[Process]) -> None:
    """Wait until no part says anything more."""
    before = -1
    while before != (now := sum(len(part.lines) for part in parts)):
        before = now
        time.sleep(max(1.0, 2 * QUIET))


SAYING = threading.Lock()


def main() -> None:
    prepare(json.loads(sys.stdin.readline()))
    parts = bring_up()
    say({"ready": True})
    offsets = {part.name: 0 for part in parts}
    with concurrent.futures.ThreadPoolExecutor(TOGETHER) as pool:
        running = []
        for line in sys.stdin:
            case = json.loads(line)
            if "end" not in case:
                running.append(pool.submit(lambda case=case: say({"id": case["id"], **run(case)})))
                continue
            concurrent.futures.wait(running)
            running.clear()
            settled(parts)
            lines = {part.name: part.lines[offsets[part.name] :] for part in parts}
            offsets = {part.name: len(part.lines) for part in parts}
            errors = {part.name: part.errors()[-20_000:] for part in parts}
            alive = all(part.process.poll() is None for part in parts)
            say({"end": True, "lines": lines, "errors": errors, "alive": alive})
    for part in parts:
        part.process.terminate()


if __name__ == "__main__":
    main()
