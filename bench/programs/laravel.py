"""A small application with the forms and cookies of Laravel's documents ("CSRF Protection", "Encryption", "Sanctum").

Each answer sets XSRF-TOKEN and laravel_session. Both are encrypted: base64 of JSON with iv, value, mac and tag. A write
needs the token in a field `_token` or in X-CSRF-TOKEN, or the cookie's own value in X-XSRF-TOKEN; otherwise 419.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

KEY = os.urandom(32)  # APP_KEY
SESSIONS: dict[str, str] = {}  # the CSRF token by session
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def random_string(length: int = 40) -> str:
    """Letters and digits, as Str::random gives."""
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in os.urandom(length))


def _mac(iv: str, value: str) -> str:
    return hmac.new(KEY, (iv + value).encode(), "sha256").hexdigest()


def _prefix(name: str) -> str:
    """Binds a cookie's value to its name."""
    return hmac.new(KEY, f"{name}v2".encode(), hashlib.sha1).hexdigest() + "|"


def encrypted(name: str, value: str) -> str:
    """AES-256-CBC and a MAC."""
    data, iv = (_prefix(name) + value).encode(), os.urandom(16)
    padding = 16 - len(data) % 16
    work = Cipher(algorithms.AES(KEY), modes.CBC(iv)).encryptor()
    text = base64.b64encode(work.update(data + bytes([padding]) * padding) + work.finalize()).decode()
    start = base64.b64encode(iv).decode()
    payload = {"iv": start, "value": text, "mac": _mac(start, text), "tag": ""}
    return base64.b64encode(json.dumps(payload, separators=(",", ":")).encode()).decode()


def decrypted(name: str, text: str) -> str:
    """ "" for anything that this application has not encrypted under this name."""
    try:
        payload = json.loads(base64.b64decode(unquote(text)))
        if not hmac.compare_digest(_mac(payload["iv"], payload["value"]), payload["mac"]):
            return ""
        work = Cipher(algorithms.AES(KEY), modes.CBC(base64.b64decode(payload["iv"]))).decryptor()
        data = work.update(base64.b64decode(payload["value"])) + work.finalize()
    except (ValueError, KeyError, TypeError):
        return ""
    prefix, value = _prefix(name), data[: -data[-1]].decode()
    return value.removeprefix(prefix) if value.startswith(prefix) else ""


PAGE = """<!DOCTYPE html><meta name="csrf-token" content="{token}"><form method="POST" action="/profile">
<input type="hidden" name="_token" value="{token}" autocomplete="off"><input name="name"></form>"""


class Application(BaseHTTPRequestHandler):
    """/ is a page with a form, /sanctum/csrf-cookie sets the cookies only, everything else is written to."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._start()
        if self.path == "/sanctum/csrf-cookie":
            return self._say(204, b"", "text/html")
        return self._say(200, PAGE.format(token=self.token).encode(), "text/html; charset=UTF-8")

    def do_POST(self) -> None:
        self._start()
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        form = self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        given = parse_qs(body.decode()).get("_token", [""])[0] if form else ""
        given = given or self.headers.get("x-csrf-token", "")
        given = given or decrypted("XSRF-TOKEN", self.headers.get("x-xsrf-token", ""))
        if not hmac.compare_digest(given, self.token):
            return self._say(419, b'{"message":"CSRF token mismatch."}', "application/json")
        return self._say(200, b'{"saved":true}', "application/json")

    do_PUT = do_PATCH = do_DELETE = do_POST

    def _start(self) -> None:
        """The session of the request, or a new one."""
        cookies = SimpleCookie(self.headers.get("cookie", ""))
        sent = cookies["laravel_session"].value if "laravel_session" in cookies else ""
        self.session = decrypted("laravel_session", sent)
        if self.session not in SESSIONS:
            self.session = random_string()
            SESSIONS[self.session] = random_string()
        self.token = SESSIONS[self.session]

    def _say(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        common = "; Max-Age=7200; path=/; secure; samesite=lax"
        self.send_header("set-cookie", f"XSRF-TOKEN={quote(encrypted('XSRF-TOKEN', self.token), safe='')}{common}")
        session = quote(encrypted("laravel_session", self.session), safe="")
        self.send_header("set-cookie", f"laravel_session={session}; httponly{common}")
        self.send_header("content-type", kind)
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(port: int) -> None:
    ThreadingHTTPServer(("127.0.0.1", port), Application).serve_forever()
