"""Resolves outside names once, looks at every answer, and lets nothing else be dialled (SSRF, DNS rebinding)."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

from addons.pipelock_core import Policy, refuse
from addons.refusal import Refusal

_RESOLVED_SECONDS = 30.0

Lookup = Callable[..., Awaitable[list[Any]]]


class VettedNames:
    """What was vetted is what is dialled: every connection of the process resolves here, so no second answer of a name
    server can lead it elsewhere. `policy` gives the policy in force, None while there is none."""

    def __init__(self, policy: Callable[[], Policy | None]) -> None:
        self._policy = policy
        self.lookup: Lookup | None = None
        self.answers: dict[tuple[str, int], tuple[float, list[Any]]] = {}

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stand in for the loop's resolver from now on."""
        self.lookup = loop.getaddrinfo
        loop.getaddrinfo = self.getaddrinfo  # type: ignore[method-assign]

    async def vet(self, host: str, port: int) -> Refusal | None:
        """Why this canonical name may not be dialled, or None."""
        policy = self._policy()
        if policy is None:
            return refuse("no_policy", "No policy is loaded.")
        try:
            answers = await self._answers(host, port)
        except OSError:
            answers = []
        return policy.refuse_addresses(host, [str(answer[4][0]) for answer in answers])

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> list[Any]:
        """Like the loop's; raises OSError for a name that is not vetted."""
        refusal = await self.vet(str(host).lower(), int(port))
        if refusal is not None:
            raise OSError(refusal.message)
        return await self._answers(str(host).lower(), int(port))

    async def _answers(self, host: str, port: int) -> list[Any]:
        now = time.monotonic()
        cached = self.answers.get((host, port))
        if cached is None or cached[0] < now:
            self.answers = {key: value for key, value in self.answers.items() if value[0] >= now}
            assert self.lookup is not None  # noqa: S101 - installed before the first connection
            found = await self.lookup(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
            cached = self.answers[(host, port)] = (now + _RESOLVED_SECONDS, list(found))
        return cached[1]
