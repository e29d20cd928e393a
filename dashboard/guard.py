"""Access control of the page's server: only the browser that has the address with the token, and only its own page.

Every page in the owner's browser, and every user of the machine, can reach a server on loopback. So each request needs
the cookie (other users) and the right Host (DNS rebinding). A request that changes something also needs the right
Origin (cross-site requests; the Fetch standard makes browsers send it with every POST).
"""

from __future__ import annotations

import secrets
from collections.abc import MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_CLOSED = "This page needs the address that the dashboard printed when it started, with its token.\n"


class Guard:
    """ASGI middleware. port: of the server. token: the one in the printed address."""

    def __init__(self, app: ASGIApp, *, port: int, token: str) -> None:
        self._app, self._token = app, token
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._cookie = f"claude-bottle-{port}"  # cookies are shared by all ports of a host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return None  # there are no WebSockets

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        answer = self._refuse(scope)
        return await (answer or self._app)(scope, receive, with_headers)

    def _refuse(self, scope: Scope) -> Response | None:
        """The refusal; None if the application may answer."""
        headers = Headers(scope=scope)
        if headers.getlist("host") not in [[host] for host in self._hosts]:
            return PlainTextResponse("Not a name of this server.\n", 421)
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and scope["path"] != "/":
            return PlainTextResponse("Not from another site.\n", 403)
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if given and scope["path"] == "/" and scope["method"] == "GET":
            if not secrets.compare_digest(given.encode(), self._token.encode()):
                return PlainTextResponse(_CLOSED, 403)
            # Redirect to the address without the token, so that it is neither in the history nor in shared addresses.
            answer = RedirectResponse("/", 303)
            answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
            return answer
        if not secrets.compare_digest(self._given(headers).encode(), self._token.encode()):
            return PlainTextResponse(_CLOSED, 403)
        if scope["method"] not in ("GET", "HEAD"):
            if headers.get("origin") not in [f"http://{host}" for host in self._hosts]:
                return PlainTextResponse("Not from another site.\n", 403)
            if headers.get("content-type", "").partition(";")[0] != "application/json":
                return PlainTextResponse("JSON only.\n", 415)
        return None

    def _given(self, headers: Headers) -> str:
        jar: MutableMapping[str, Any] = SimpleCookie()
        try:
            jar = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return ""
        return jar[self._cookie].value if self._cookie in jar else ""
