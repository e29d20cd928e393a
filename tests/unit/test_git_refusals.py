"""What git shows of a proxy's refusal, by git itself.

Source: remote-curl.c, show_http_message: the body of an error is shown behind `remote: ` where it is text/plain.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mitmproxy.test import tflow

from addons.frame.refuse import answer
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.targets import is_git_fetch_request, is_git_push_request

REFS = "/acme/project.git/info/refs?service=git-upload-pack"


def refused(path: str, reason: str = "host_not_declared") -> tuple[int, str, bytes]:
    flow = tflow.tflow()
    flow.request.path = path
    answer(flow, Refusal("egress", reason, "git.example.com is not among the declared routes of this bottle."))
    assert flow.response is not None
    return flow.response.status_code, flow.response.headers["content-type"], flow.response.content or b""


@contextmanager
def host() -> Iterator[str]:
    """Refuses everything as egress does."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return

        def do_GET(self) -> None:
            status, kind, body = refused(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_git_shows_why_and_what_to_do(tmp_path: Path) -> None:
    with host() as url:
        env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "no_proxy": "*"}
        argv = ["git", "clone", f"{url}/acme/project.git", str(tmp_path / "x")]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 128
    assert "remote: egress: git.example.com is not among the declared routes of this bottle." in done.stderr
    assert "remote: A repository can be reached once the owner declares it under git: in the manifest" in done.stderr
    assert "ask with the supervise tool egress-block" in done.stderr


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (REFS, True), ("/acme/project/info/refs?service=git-upload-pack", True), ("/acme/project.git/git-upload-pack", True),
        ("/acme/project.git/info/refs?service=git-receive-pack", False), ("/acme/git-upload-pack.txt", False),
        ("/acme/project.git/info/refs", False), ("/", False),
    ],
)  # fmt: skip
def test_only_git_gets_text(path: str, text: bool) -> None:
    assert is_git_fetch_request(path) is text
    assert not (is_git_fetch_request(path) and is_git_push_request(path))
    _, kind, body = refused(path)
    assert kind == ("text/plain" if text else "application/json")
    if not text:
        assert json.loads(body)["reason"] == "host_not_declared"


def test_what_no_approval_helps_says_so() -> None:
    _, _, body = refused(REFS, "bad_host")
    assert b"No approval allows this: use the host's name." in body
    assert b"supervise tool" not in body
    status, kind, body = refused("/a/git-receive-pack", "git_push")
    assert (status, kind, body.count(b"\n")) == (403, "text/plain", 1)
