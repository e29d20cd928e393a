"""An upstream that answers with a redirect, by real git against git http-backend.

Sources: git-config(1), http.followRedirects; GitLab answers `/acme/project` with 301 to `/acme/project.git`; GitHub a
renamed repository with 301 to its new path; RFC 9110, 15.4.2.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from gate_repository import Repository

from sidecar_images.git_gate import mirror, mirror_state, redirect
from sidecar_images.git_gate.forward import forward
from sidecar_images.git_gate.push_policy import Command
from sidecar_images.git_gate.remotes import Remote


class Host:
    """A forge: /up.git is there, and what `moves` names is elsewhere. seen: path and Authorization of each request."""

    def __init__(self, folder: Path) -> None:
        seen = self.seen = list[tuple[str, str]]()
        moves = self.moves = dict[str, str]()

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                return

            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                seen.append((path, self.headers.get("Authorization", "")))
                for old, new in moves.items():
                    if path.startswith(f"{old}/"):
                        self.send_response(301)
                        self.send_header("Location", new + self.path.removeprefix(old))
                        self.send_header("Content-Length", "0")
                        self.end_headers()
                        return
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                given = {"GIT_PROJECT_ROOT": str(folder), "GIT_HTTP_EXPORT_ALL": "1", "REQUEST_METHOD": self.command}
                given |= {
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "CONTENT_LENGTH": str(len(body)),
                    "REMOTE_USER": "o",
                }
                given |= {"CONTENT_TYPE": self.headers.get("Content-Type", ""), "PATH": os.environ["PATH"]}
                given |= {"GIT_PROTOCOL": self.headers.get("Git-Protocol", "")}
                done = subprocess.run(
                    ["git", "http-backend"], input=body, env=given, stdout=subprocess.PIPE, check=False
                )
                head, _, content = done.stdout.partition(b"\r\n\r\n")
                self.send_response(200 if b"Status" not in head else 404)
                for line in head.decode().splitlines():
                    if not line.startswith("Status"):
                        self.send_header(*line.split(": ", 1))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Host, Host]]:
    repo = Repository(tmp_path / "work")
    repo.git("branch", "main", "refs/kept")
    subprocess.run(["git", "clone", "-q", "--bare", str(repo.folder), str(tmp_path / "up.git")], check=True)
    subprocess.run(["git", "-C", str(tmp_path / "up.git"), "config", "http.receivepack", "true"], check=True)
    one, two = Host(tmp_path), Host(tmp_path)
    monkeypatch.setattr(mirror, "RUN", tmp_path)
    monkeypatch.setattr(Remote, "mirror", property(lambda self: tmp_path / f"{self.name}.mirror"))
    monkeypatch.setattr(Remote, "https", property(lambda _: True))
    (tmp_path / "p.token").write_text("the-token")
    environment, authorization = Remote.environment, Remote.authorization
    monkeypatch.setattr(Remote, "authorization", lambda self, _=None: authorization(self, tmp_path))
    monkeypatch.setattr(
        Remote, "environment", lambda self: {**environment(self, tmp_path), "GIT_ALLOW_PROTOCOL": "http"}
    )
    monkeypatch.setattr(redirect, "connect", lambda host, port: http.client.HTTPConnection(host, port, timeout=100))
    yield one, two
    for host in (one, two):
        host.server.shutdown()
        host.server.server_close()


def mirrored(upstream: str) -> Remote:
    remote = Remote("p", upstream)
    mirror.prepare(remote)
    return remote


def test_the_same_address_with_git_is_followed(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    host, _ = hosts
    host.moves["/up"] = "/up.git"
    remote = mirrored(f"{host.url}/up")
    assert mirror.refresh(remote) is None
    assert mirror_state.address(remote) == f"{host.url}/up.git"
    host.seen.clear()
    assert mirror.refresh(remote) is None
    assert {path for path, _ in host.seen} == {"/up.git/info/refs", "/up.git/git-upload-pack"}  # asked once
    work = Repository.__new__(Repository)
    work.folder = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(remote.mirror), str(work.folder)], check=True)
    old, new = work.git("rev-parse", "HEAD"), work.commit({"a": b"1"})
    cwd = Path.cwd()
    os.chdir(work.folder)
    try:
        assert forward(remote, [Command(old, new, "refs/heads/main")], []).accepted == ["refs/heads/main"]
    finally:
        os.chdir(cwd)
    # Of another upstream under the same name nothing is known.
    assert mirror_state.address(Remote("p", f"{host.url}/other")) == f"{host.url}/other"


@pytest.mark.parametrize("kind", ["absolute", "relative", "other host", "other host, same path"])
def test_another_address_is_told_and_gets_nothing(hosts: tuple[Host, Host], kind: str) -> None:
    host, other = hosts
    new = {"absolute": f"{host.url}/up.git", "relative": "/up.git", "other host": f"{other.url}/up.git",
           "other host, same path": f"{other.url}/old.git"}[kind]  # fmt: skip
    host.moves["/old"] = new
    remote = mirrored(f"{host.url}/old")
    address = new if new.startswith("http") else host.url + new
    with pytest.raises(mirror.UpstreamError, match=f"it reports its new address {address}: the owner has to write"):
        mirror.refresh(remote)
    assert mirror_state.address(remote) == f"{host.url}/old"
    assert other.seen == []
    assert all(path.startswith("/old/") for path, _ in host.seen)


@pytest.mark.parametrize(
    "location", ["/up\x1b[2J.git", "javascript:x", "ext::sh", "/login?next=x#", "https://" + "x" * 400]
)
def test_what_is_no_address_is_not_told(hosts: tuple[Host, Host], location: str) -> None:
    host, _ = hosts
    host.moves["/old"] = location
    with pytest.raises(mirror.UpstreamError) as error:
        mirror.refresh(mirrored(f"{host.url}/old"))
    assert "it reports" not in str(error.value)
    assert "error: 301" in str(error.value)


def test_only_a_redirect_is_asked_about(hosts: tuple[Host, Host]) -> None:
    host, _ = hosts
    with pytest.raises(mirror.UpstreamError):
        mirror.refresh(mirrored(f"{host.url}/none"))
    assert len(host.seen) == 1
