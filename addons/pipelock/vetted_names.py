"""Resolves outside names once, vets every answer, and lets nothing else be dialled (SSRF, DNS rebinding)."""

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
LOOKUP_SECONDS = 5.0  # how long a request waits for a name, at most
PROXIED_SECONDS = 1.0  # with a forward proxy, which resolves names; there may be no name server here
LOOKUPS = 64  # at a time, each in a thread of its own
LOOKUPS_PER_PATTERN = 4  # of names that match one pattern of the allowlist, so that no zone takes all threads
_REMEMBERED = 1024  # names

Answers = tuple[Any, ...]
Lookup = Callable[[str, int], Awaitable[list[Any]]]


_ABSENT = (socket.EAI_NONAME, socket.EAI_NODATA)  # a name server answered that there is no such name, or no address


class Unresolved(OSError):
    """A name that was not looked up, because too many lookups are running."""


class LateError(OSError):
    """A name whose lookup has not finished in time."""


class VettedNames:
    """Only vetted addresses are dialled: every connection of the process resolves here and gets exactly the vetted
    addresses, so a second answer of a name server cannot lead it elsewhere.

    `policy` returns the policy in force, or None. Lookups have threads of their own, a time limit, and a bound for each
    pattern of the allowlist, so slow name servers delay only the names they serve.

    With a forward proxy there may be no name server. Then a name without an answer is judged as one that does not
    resolve, unless it has had an answer in this process. A later answer is applied to open connections
    (`refuse_known`).
    """

    def __init__(self, policy: Callable[[], Policy | None]) -> None:
        self._policy = policy
        self.lookup: Lookup = self._ask
        self.answers: dict[tuple[str, int], tuple[float, Answers]] = {}
        self._known: dict[str, Answers] = {}  # the last answer of names of the allowlist that have had one
        self._asked: dict[tuple[str, int], float] = {}  # when each was looked up last
        self._pending: dict[tuple[str, int], asyncio.Task[Answers]] = {}
        self._busy: Counter[str] = Counter()
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="lookup")

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Replace the loop's resolver."""
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
        """Like the loop's method. Raises OSError for a name that may not be dialled."""
        refusal, answers = await self._vetted(str(host).lower(), int(port))
        if refusal is not None:
            raise OSError(refusal.message)
        return list(answers)

    async def _vetted(self, host: str, port: int) -> tuple[Refusal | None, Answers]:
        """A refusal, or the addresses vetted just now, with no step in between."""
        policy = self._policy()
        if policy is None:
            return refuse("no_policy", "No policy is loaded."), ()
        try:
            answers = await self._answers(host, port, _pattern(policy, host))
        except Unresolved as error:
            return refuse("unresolvable", f"{host} cannot be resolved: {error}.", 503), ()
        except (OSError, UnicodeError) as error:  # UnicodeError: no valid name to the idna codec
            absent = isinstance(error, UnicodeError) or (isinstance(error, socket.gaierror) and error.errno in _ABSENT)
            proxied = policy.upstream_proxy is not None
            if proxied and absent:
                self._remember(host, port, ())
            if (host in self._known and not absent) if proxied else isinstance(error, LateError):
                return refuse("unresolvable", f"{host} cannot be resolved: {error}.", 503), ()
            answers = ()
        return self._judge(host, answers), answers

    def refuse_known(self, host: str, port: int) -> Refusal | None:
        """Why an open connection through the forward proxy may not continue: by an answer that came after dialling.

        A name without an answer so far is looked up again, every few seconds.
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
        policy = self._policy()  # it may have changed during the lookup
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
            # The limit is per lookup, whoever waits for it, because one request asks several times.
            seconds = max(0.0, self._asked.get(key, 0.0) + PROXIED_SECONDS - time.monotonic())
        done, _ = await asyncio.wait([pending], timeout=seconds)
        if not done:
            raise LateError("no answer has come in time")
        return pending.result()

    def _look_up_beside(self, key: tuple[str, int], pattern: str) -> asyncio.Task[Answers]:
        """Start a lookup. Raises Unresolved if too many are running."""
        if self._busy.total() >= LOOKUPS or self._busy[pattern] >= LOOKUPS_PER_PATTERN:
            raise Unresolved("too many names are being looked up")
        self._busy[pattern] += 1
        now = time.monotonic()
        if len(self._asked) >= _REMEMBERED:
            self._asked = {one: self._asked[one] for one in self._pending if one in self._asked}
        self._asked[key] = now
        pending = self._pending[key] = asyncio.get_running_loop().create_task(self._look_up(*key, pattern))
        pending.add_done_callback(lambda done: done.cancelled() or done.exception())  # perhaps nobody waits any more
        return pending

    async def _look_up(self, host: str, port: int, pattern: str) -> Answers:
        # It continues after its waiters have left, because its thread does, and counts as busy until it ends.
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
