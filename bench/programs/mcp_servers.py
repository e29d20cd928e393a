# ruff: noqa: ARG002 - the SDK's own protocol
"""Two MCP servers as the Python SDK has them: one open, one that is also its own authorization server.

The second one registers clients itself (RFC 7591) and gives codes with PKCE, tokens and new tokens. Its owner says yes
to everybody: where a person would log in, it redirects back with the code.
"""

from __future__ import annotations

import os
import secrets
import time
from typing import Any

import uvicorn
from mcp.server.auth import provider as auth
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.auth import OAuthToken

_SECONDS = 20  # of an access token, so that clients refresh theirs


class Owner:
    """The SDK's OAuthAuthorizationServerProvider, in memory."""

    def __init__(self) -> None:
        self.clients: dict[str, Any] = {}
        self.codes: dict[str, auth.AuthorizationCode] = {}
        self.tokens: dict[str, auth.AccessToken] = {}
        self.refresh: dict[str, auth.RefreshToken] = {}

    async def get_client(self, client_id: str) -> Any:
        return self.clients.get(client_id)

    async def register_client(self, client_info: Any) -> None:
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client: Any, params: auth.AuthorizationParams) -> str:
        code = auth.AuthorizationCode(
            code=secrets.token_urlsafe(32),
            client_id=client.client_id,
            scopes=params.scopes or ["use"],
            expires_at=time.time() + 60,
            **params.model_dump(exclude={"state", "scopes"}),
        )
        self.codes[code.code] = code
        return auth.construct_redirect_uri(str(params.redirect_uri), code=code.code, state=params.state)

    async def load_authorization_code(self, client: Any, authorization_code: str) -> Any:
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(self, client: Any, authorization_code: auth.AuthorizationCode) -> OAuthToken:
        del self.codes[authorization_code.code]
        return self._tokens(client.client_id, authorization_code.scopes, authorization_code.resource)

    async def load_refresh_token(self, client: Any, refresh_token: str) -> Any:
        return self.refresh.get(refresh_token)

    async def exchange_refresh_token(
        self, client: Any, refresh_token: auth.RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        del self.refresh[refresh_token.token]
        return self._tokens(client.client_id, scopes or refresh_token.scopes, refresh_token.resource)

    async def load_access_token(self, token: str) -> Any:
        access = self.tokens.get(token)
        return access if access and (access.expires_at or 0) > time.time() else None

    async def revoke_token(self, token: Any) -> None:
        self.tokens.pop(token.token, None)
        self.refresh.pop(token.token, None)

    def _tokens(self, client: str, scopes: list[str], resource: str | None) -> OAuthToken:
        access, again = secrets.token_hex(32), secrets.token_urlsafe(48)
        until = int(time.time()) + _SECONDS
        common: dict[str, Any] = {"client_id": client, "scopes": scopes, "resource": resource}
        self.tokens[access] = auth.AccessToken(token=access, expires_at=until, **common)
        self.refresh[again] = auth.RefreshToken(token=again, **common)
        return OAuthToken(access_token=access, refresh_token=again, expires_in=_SECONDS, scope=" ".join(scopes))


def serve(port: int, issuer: str = "") -> None:
    """An MCP server with one tool; with an issuer's address, one that asks for its tokens."""
    options: dict[str, Any] = {}
    if issuer:
        scopes = ["use"]
        registration = ClientRegistrationOptions(enabled=True, valid_scopes=scopes, default_scopes=scopes)
        settings = {"issuer_url": issuer, "resource_server_url": f"{issuer}/mcp", "required_scopes": scopes}
        options["auth"] = AuthSettings.model_validate({**settings, "client_registration_options": registration})
        options["auth_server_provider"] = Owner()
    server = MCPServer("test", **options)

    @server.tool()
    def add(a: int, b: int) -> int:
        return a + b

    @server.tool()
    def read(name: str) -> str:
        return f"{name}: {os.urandom(600).hex()}"

    security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    app = server.streamable_http_app(streamable_http_path="/mcp", transport_security=security)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", proxy_headers=True)
