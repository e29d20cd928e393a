"""A pipelock with the policy of a manifest, whose every host is at one outside address."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

from mitmproxy import http
from mitmproxy.test import taddons

from addons.pipelock.addon import Pipelock
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.pipelock import render


def loaded_pipelock(folder: Path, manifest: Manifest) -> Pipelock:
    (folder / "pipelock.yaml").write_text(render(manifest))
    addon = Pipelock(folder / "pipelock.yaml", folder)
    addon._file.poll()
    assert addon._file.error is None

    async def lookup(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.0.113.5", port))]

    addon._names.lookup = lookup
    return addon


def run(addon: Pipelock, exchange: http.HTTPFlow) -> str | None:
    """The reason of the refusal of a request, or None."""

    async def both() -> None:
        await addon.requestheaders(exchange)
        await addon.request(exchange)

    with taddons.context(addon):
        asyncio.run(both())
    return json.loads(exchange.response.content or b"")["reason"] if exchange.response else None
