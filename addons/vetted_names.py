"""Resolves outside names once, looks at every answer, and lets nothing else be dialled (SSRF, DNS rebinding)."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from addons.hosts import host_matches
from addons.pipelock_core import Policy, refuse
from addons.refusal import Refusal

RESOLVED_SECONDS = 30.0
LOOKUP_SECONDS = 5.0  # what a request waits for a name at most
PROXIED_SECONDS = 1.0  # where a forward proxy looks names up, and there may be no name server here
LOOKUPS = 64  # at a time, each in a thread of its own
LOOKUPS_PER_PATTERN = 4  # of the names that one pattern of the allowlist stands for, so that no zone takes all threads
_REMEMBERED = 1024  # names

Answers = tuple[Any, ...]
Lookup = Callable[[str, int], Awaitable[list[Any]]]


class Unresolved(OSError):
    """A name that was not looked up in time, or not at all because too many lookups are under way."""


class VettedNames:
    """What was vetted is what is dialled: every connection of the process resolves here, and gets the very addresses
    that were looked at, so no second answer of a name server can lead it elsewhere.

    `policy` gives the policy in force, None while there is none. Lookups have threads of their own, a time limit, and a
    bound for each pattern of the allowlist: slow name servers hold up nothing but the names they serve.
    """

    def __init__(self, policy: Callable[[], Policy | None]) -> None:
        self._policy = policy
        self.lookup: Lookup = self._ask
        self.answers: dict[tuple[str, int], tuple[float, Answers]] = {}
        self._pending: dict[tuple[str, int], asyncio.Task[Answers]] = {}
        self._busy: Counter[str] = Counter()
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="lookup")

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stand in for the loop's resolver from now on."""
        loop.getaddrinfo = self.getaddrinfo  # type: ignore[method-assign]

    async def vet(self, host: str, port: int) -> Refusal | None:
        """Why this canonical name may not be dialled, or None."""
        refusal, _ = await self._vetted(host, port)
        return refusal

    async def check(self, host: str, port: int) -> None:
        """Raises OSError for a name that may not be dialled."""
        refusal = await self.vet(host.lower(), port)
        if refusal is not None:
            raise OSError(refusal.message)

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> list[Any]:
        """Like the loop's; raises OSError for a name that is not vetted."""
        refusal, answers = await self._vetted(str(host).lower(), int(port))
        if refusal is not None:
            raise OSError(refusal.message)
        return list(answers)

    async def _vetted(self, host: str, port: int) -> tuple[Refusal | None, Answers]:
        """A refusal, or the addresses that were looked at just now: nothing can come between the two."""
        policy = self._policy()
        if policy is None:
            return refuse("no_policy", "No policy is loaded."), ()
        try:
            answers = await self._answers(host, port, _pattern(policy, host))
        except Unresolved as error:
            if policy.upstream_proxy is not None:  # there may be no name server for outside names at all
                self._remember(host, port, ())
                return self._judge(host, ()), ()
            return refuse("unresolvable", f"{host} cannot be resolved: {error}.", 503), ()
        except (OSError, UnicodeError):  # the latter for what is no name to the idna codec
            answers = ()
            if policy.upstream_proxy is not None:
                self._remember(host, port, answers)
        return self._judge(host, answers), answers

    def _judge(self, host: str, answers: Answers) -> Refusal | None:
        policy = self._policy()  # again: it may have changed while the name was looked up
        if policy is None:
            return refuse("no_policy", "No policy is loaded.")
        return policy.refuse_addresses(host, [str(answer[4][0]) for answer in answers])

    async def _answers(self, host: str, port: int, pattern: str) -> Answers:
        key = (host, port)
        known = self.answers.get(key)
        if known is not None and known[0] >= time.monotonic():
            return known[1]
        pending = self._pending.get(key)
        if pending is None:
            if self._busy.total() >= LOOKUPS or self._busy[pattern] >= LOOKUPS_PER_PATTERN:
                raise Unresolved("too many names are being looked up")
            self._busy[pattern] += 1
            pending = self._pending[key] = asyncio.get_running_loop().create_task(self._look_up(host, port, pattern))
            pending.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may wait any more
        policy = self._policy()
        seconds = LOOKUP_SECONDS if policy is None or policy.upstream_proxy is None else PROXIED_SECONDS
        done, _ = await asyncio.wait([pending], timeout=seconds)
        if not done:
            raise Unresolved(f"no answer within {seconds:g} seconds")
        return pending.result()

    async def _look_up(self, host: str, port: int, pattern: str) -> Answers:
        # It goes on when nobody waits any more, because its thread does, and counts as busy until then.
        try:
            found = tuple(await self.lookup(host, port))
        finally:
            self._busy[pattern] -= 1
            del self._pending[(host, port)]
        self._remember(host, port, found)
        return found

    def _remember(self, host: str, port: int, found: Answers) -> None:
        now = time.monotonic()  # after the lookup, however long it took
        self.answers = {key: value for key, value in self.answers.items() if value[0] >= now}
        if len(self.answers) >= _REMEMBERED:
            del self.answers[next(iter(self.answers))]
        self.answers[(host, port)] = (now + RESOLVED_SECONDS, found)

    async def _ask(self, host: str, port: int) -> list[Any]:
        ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        return await asyncio.get_running_loop().run_in_executor(self._threads, ask)


def _pattern(policy: Policy, host: str) -> str:
    return max((pattern for pattern in policy.allowlist if host_matches(pattern, host)), key=len, default="")
