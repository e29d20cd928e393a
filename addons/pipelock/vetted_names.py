"""Resolves outside names once, looks at every answer, and lets nothing else be dialled (SSRF, DNS rebinding)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from addons.pipelock.core import Policy, refuse
from claude_bottle.policy.names.hosts import host_matches
from claude_bottle.policy.refusal import Refusal

RESOLVED_SECONDS = 30.0
LOOKUP_SECONDS = 5.0  # what a request waits for a name at most
PROXIED_SECONDS = 1.0  # where a forward proxy looks names up, and there may be no name server here
LOOKUPS = 64  # at a time, each in a thread of its own
LOOKUPS_PER_PATTERN = 4  # of the names that one pattern of the allowlist stands for, so that no zone takes all threads
_REMEMBERED = 1024  # names

Answers = tuple[Any, ...]
Lookup = Callable[[str, int], Awaitable[list[Any]]]


_ABSENT = (socket.EAI_NONAME, socket.EAI_NODATA)  # a name server has said that there is no such name, or no address


class Unresolved(OSError):
    """A name that was not looked up, because too many lookups are under way."""


class LateError(OSError):
    """A name that is being looked up, and whose answer has not come in time."""


class VettedNames:
    """What was vetted is what is dialled: every connection of the process resolves here, and gets the very addresses
    that were looked at, so no second answer of a name server can lead it elsewhere.

    `policy` gives the policy in force, None while there is none. Lookups have threads of their own, a time limit, and a
    bound for each pattern of the allowlist: slow name servers hold up nothing but the names they serve.

    By a forward proxy, in whose network there may be no name server, a name without an answer is judged as one that
    does not resolve here, unless it has had an answer in this process. A later answer counts for what is open by
    then (`refuse_known`).
    """

    def __init__(self, policy: Callable[[], Policy | None]) -> None:
        self._policy = policy
        self.lookup: Lookup = self._ask
        self.answers: dict[tuple[str, int], tuple[float, Answers]] = {}
        self._known: dict[str, Answers] = {}  # the last of names of the allowlist that have had one
        self._asked: dict[tuple[str, int], float] = {}  # when these were looked up last
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
            return refuse("unresolvable", f"{host} cannot be resolved: {error}.", 503), ()
        except (OSError, UnicodeError) as error:  # the latter for what is no name to the idna codec
            absent = isinstance(error, UnicodeError) or (isinstance(error, socket.gaierror) and error.errno in _ABSENT)
            proxied = policy.upstream_proxy is not None
            if proxied and absent:
                self._remember(host, port, ())
            if (host in self._known and not absent) if proxied else isinstance(error, LateError):
                return refuse("unresolvable", f"{host} cannot be resolved: {error}.", 503), ()
            answers = ()
        return self._judge(host, answers), answers

    def refuse_known(self, host: str, port: int) -> Refusal | None:
        """Why what is open to a name by the forward proxy may not go on: by an answer that came after it was dialled.

        A name that has had no answer is looked up once more, every few seconds.
        """
        policy, key = self._policy(), (host, port)
        if policy is None:
            return refuse("no_policy", "No policy is loaded.")
        if self._known.get(host):
            return self._judge(host, self._known[host])
        now = time.monotonic()
        answered = key in self.answers and self.answers[key][0] >= now
        waits = answered or key in self._pending
        if host in policy.allowlist and not waits and now - self._asked.get(key, 0.0) >= LOOKUP_SECONDS:
            with contextlib.suppress(Unresolved):
                self._look_up_beside(key, host)
        return None

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
        pending = self._pending.get(key) or self._look_up_beside(key, pattern)
        policy, seconds = self._policy(), LOOKUP_SECONDS
        if policy is not None and policy.upstream_proxy is not None and host not in self._known:
            # Of one lookup, whoever waits for it: a request asks several times.
            seconds = max(0.0, self._asked.get(key, 0.0) + PROXIED_SECONDS - time.monotonic())
        done, _ = await asyncio.wait([pending], timeout=seconds)
        if not done:
            raise LateError("no answer has come in time")
        return pending.result()

    def _look_up_beside(self, key: tuple[str, int], pattern: str) -> asyncio.Task[Answers]:
        """Raises Unresolved where too many are under way."""
        if self._busy.total() >= LOOKUPS or self._busy[pattern] >= LOOKUPS_PER_PATTERN:
            raise Unresolved("too many names are being looked up")
        self._busy[pattern] += 1
        now = time.monotonic()
        if len(self._asked) >= _REMEMBERED:
            self._asked = {one: self._asked[one] for one in self._pending if one in self._asked}
        self._asked[key] = now
        pending = self._pending[key] = asyncio.get_running_loop().create_task(self._look_up(*key, pattern))
        pending.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may wait any more
        return pending

    async def _look_up(self, host: str, port: int, pattern: str) -> Answers:
        # It goes on when nobody waits any more, because its thread does, and counts as busy until then.
        try:
            answers = tuple(await self.lookup(host, port))
        finally:
            self._busy[pattern] -= 1
            del self._pending[(host, port)]
        self._remember(host, port, answers)
        return answers

    def _remember(self, host: str, port: int, answers: Answers) -> None:
        policy = self._policy()
        if policy is not None and host in policy.allowlist and (answers or host in self._known):
            self._known[host] = answers
        now = time.monotonic()  # after the lookup, however long it took
        self.answers = {key: value for key, value in self.answers.items() if value[0] >= now}
        if len(self.answers) >= _REMEMBERED:
            del self.answers[next(iter(self.answers))]
        self.answers[(host, port)] = (now + RESOLVED_SECONDS, answers)

    async def _ask(self, host: str, port: int) -> list[Any]:
        ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        return await asyncio.get_running_loop().run_in_executor(self._threads, ask)


def _pattern(policy: Policy, host: str) -> str:
    if host in policy.allowlist:
        return host
    return max((pattern for pattern in policy.allowlist if host_matches(pattern, host)), key=len, default="")
