# ruff: noqa: E501 - answers that are data
"""Answers what an API would, as far as its clients look: every host of serve.py that has no server of its own."""

from __future__ import annotations

import base64
import json
import os
import time
from http.server import BaseHTTPRequestHandler
from typing import Any


def jwt(claims: dict[str, Any]) -> str:
    """As RFC 7519 has it; the signature is random."""
    parts = [json.dumps({"alg": "RS256", "typ": "JWT"}).encode(), json.dumps(claims).encode(), os.urandom(256)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


class Others(BaseHTTPRequestHandler):
    """Answers what an API would, as far as its clients look."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _any(self) -> None:
        self.body = self._read()
        host, path = self.headers.get("host", "").partition(":")[0], self.path.partition("?")[0]
        if path.endswith("/v1/messages"):
            return self._messages()
        if path.endswith("/token") or path.endswith("/oauth2/token"):
            token = jwt({"iss": host, "exp": int(time.time()) + 3600, "jti": os.urandom(8).hex()})
            return self._say({"access_token": token, "token": token, "token_type": "Bearer", "expires_in": 3600})
        return self._say(answer(host, self.command, path))

    def _read(self) -> bytes:
        if self.headers.get("transfer-encoding", "") == "chunked":
            out = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                out += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return out
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def _say(self, content: Any, status: int = 200, kind: str = "application/json") -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.send_header("etag", f'"{base64.b16encode(os.urandom(16)).decode().lower()}"')
        self.send_header("set-cookie", f"session={base64.urlsafe_b64encode(os.urandom(48)).decode()}; Path=/")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _messages(self) -> None:
        """Anthropic, "Streaming Messages"."""
        asked = json.loads(self.body)
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [],
                   "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
        if not asked.get("stream"):
            return self._say({**message, "content": [{"type": "text", "text": "pong"}], "stop_reason": "end_turn"})
        events = [
            {"type": "message_start", "message": message},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "pong"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
        ]
        text = "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events)
        return self._say(text.encode(), kind="text/event-stream")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _any


def answer(host: str, method: str, path: str) -> Any:
    if host.startswith("k8s"):
        if path.endswith("/pods"):
            return {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []}
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1", "resources": [
            {"name": "pods", "namespaced": True, "kind": "Pod", "verbs": ["list", "get"]}], "groups": [], "versions": ["v1"]}  # fmt: skip
    if path.startswith("/.well-known/oauth-protected-resource"):  # RFC 9728
        return {"resource": f"https://{host}/mcp", "authorization_servers": [f"https://{host}"]}
    if host.startswith("gcs"):
        return {"kind": "storage#object", "name": "o", "bucket": "b", "generation": "1", "items": [], "size": "5"}
    if "embeddings" in path:
        return {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.1]}], "usage": {"prompt_tokens": 1, "total_tokens": 1}, "model": "m"}  # fmt: skip
    if path.endswith("chat/completions"):
        choice = {"index": 0, "message": {"role": "assistant", "content": "pong"}, "finish_reason": "stop"}
        return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    if "/issues" in path or "/pulls" in path:
        one = {"number": 1, "id": 1, "title": "t", "url": f"https://{host}{path}/1", "html_url": f"https://{host}/1"}
        return one if method in ("POST", "PATCH") else [one]
    if path.endswith("graphql"):
        return {"data": {"repository": {"id": "R_1", "name": "project", "issues": {"totalCount": 0, "nodes": [],
                "pageInfo": {"hasNextPage": False, "endCursor": None}}}}}  # fmt: skip
    return {"id": 1, "object": "thing", "name": "project", "full_name": "acme/project", "ok": True, "status": 1,
            "url": f"https://{host}{path}", "data": [], "has_more": False, "event_id": os.urandom(16).hex()}  # fmt: skip
