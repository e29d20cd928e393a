"""One lookup is looked at and dialled; slow name servers hold up nothing else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from addons.pipelock import vetted_names
from addons.pipelock.core import Policy
from addons.pipelock.vetted_names import LOOKUPS_PER_PATTERN, VettedNames

PUBLIC, INSIDE = "203.0.113.5", "127.0.0.1"


def policy(allow: tuple[str, ...]) -> Policy:
    return Policy(allow, (), (), 2048, 1 << 20, True, (), (), {}, {}, "digest")


def address_info(address: str, port: int = 443) -> list[Any]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]


class Server:
    """A name server that the test holds: each lookup waits until it is let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.answers: list[str] = []

    async def __call__(self, host: str, port: int) -> list[Any]:
        self.asked.append(host)
        await self.gate.wait()
        return address_info(self.answers.pop(0) if self.answers else PUBLIC, port)


def names(server: Any, allow: tuple[str, ...] = ("open.example.org", "*.slow.example.net")) -> VettedNames:
    resolver = VettedNames(lambda: policy(allow))
    resolver.lookup = server
    return resolver


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def test_the_addresses_that_were_looked_at_are_given_out() -> None:
    async def test() -> None:
        server = Server()
        server.gate.set()
        server.answers = [PUBLIC, INSIDE]
        vetted = names(server)
        assert await vetted.vet("open.example.org", 443) is None
        assert await vetted.getaddrinfo("OPEN.example.org", 443) == address_info(PUBLIC)
        assert server.asked == ["open.example.org"]

    run(test())


def test_an_answer_that_is_stale_when_it_comes_is_not_asked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old fault: a lookup of more than 30 s was looked at, then made again, and the second answer was dialled."""
    now = [1000.0]
    monkeypatch.setattr("addons.pipelock.vetted_names.time.monotonic", lambda: now[0])

    async def test() -> None:
        asked = []

        async def server(host: str, port: int) -> list[Any]:
            now[0] += 60
            asked.append(host)
            return address_info([PUBLIC, INSIDE][len(asked) - 1], port)

        vetted = names(server)
        assert await vetted.getaddrinfo("open.example.org", 443) == address_info(PUBLIC)
        assert await vetted.getaddrinfo("open.example.org", 443) == address_info(PUBLIC)
        assert asked == ["open.example.org"]
        now[0] += 31
        with pytest.raises(OSError, match="internal address"):
            await vetted.getaddrinfo("open.example.org", 443)

    run(test())


def test_what_is_given_out_cannot_be_changed_from_outside() -> None:
    async def test() -> None:
        server = Server()
        server.gate.set()
        vetted = names(server)
        (await vetted.getaddrinfo("open.example.org", 443)).clear()
        assert await vetted.getaddrinfo("open.example.org", 443) == address_info(PUBLIC)

    run(test())


@pytest.mark.parametrize("addresses", [[INSIDE], [PUBLIC, "::ffff:127.0.0.1"], ["::127.0.0.1"], ["fe80::1%eth0"]])
def test_one_inner_address_is_enough(addresses: list[str]) -> None:
    async def test() -> None:
        async def server(host: str, port: int) -> list[Any]:
            return [entry for address in addresses for entry in address_info(address, port)]

        vetted = names(server)
        refusal = await vetted.vet("open.example.org", 443)
        assert refusal is not None
        assert refusal.reason == "ssrf_private_ip"
        with pytest.raises(OSError, match="internal address"):
            await vetted.getaddrinfo("open.example.org", 443)

    run(test())


def test_lookups_of_one_name_are_one() -> None:
    async def test() -> None:
        server = Server()
        vetted = names(server)
        waiting = [asyncio.create_task(vetted.vet("a.slow.example.net", 443)) for _ in range(20)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        server.gate.set()
        assert await asyncio.gather(*waiting) == [None] * 20
        assert server.asked == ["a.slow.example.net"]

    run(test())


def test_slow_names_of_one_pattern_hold_up_no_other() -> None:
    async def test() -> None:
        server = Server()
        vetted = names(server)
        slow = [asyncio.create_task(vetted.vet(f"n{n}.slow.example.net", 443)) for n in range(LOOKUPS_PER_PATTERN + 3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        over = [await task for task in slow[LOOKUPS_PER_PATTERN:]]
        assert [(refusal.reason, refusal.status) for refusal in over if refusal] == [("unresolvable", 503)] * 3
        assert len(server.asked) == LOOKUPS_PER_PATTERN
        other = asyncio.create_task(vetted.vet("open.example.org", 443))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert server.asked[-1] == "open.example.org"
        server.gate.set()
        assert await asyncio.gather(other, *slow[:LOOKUPS_PER_PATTERN]) == [None] * (LOOKUPS_PER_PATTERN + 1)
        assert await vetted.vet("n9.slow.example.net", 443) is None

    run(test())


def test_a_lookup_has_a_time_limit_and_counts_until_its_thread_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vetted_names, "LOOKUP_SECONDS", 0.01)
    monkeypatch.setattr(vetted_names, "LOOKUPS_PER_PATTERN", 1)

    async def test() -> None:
        server = Server()
        vetted = names(server)
        for name in ("a.slow.example.net", "a.slow.example.net", "b.slow.example.net"):
            refusal = await vetted.vet(name, 443)
            assert refusal is not None
            assert (refusal.reason, refusal.status) == ("unresolvable", 503)
        assert server.asked == ["a.slow.example.net"]
        server.gate.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await vetted.getaddrinfo("a.slow.example.net", 443) == address_info(PUBLIC)
        assert await vetted.vet("b.slow.example.net", 443) is None

    run(test())


def test_lookups_have_threads_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop's own executor reads bodies: it is not there for names."""
    monkeypatch.setattr(
        "addons.pipelock.vetted_names.socket.getaddrinfo", lambda host, port, **_: address_info(PUBLIC, port)
    )

    class Nobody(ThreadPoolExecutor):
        def submit(self, *_: Any, **__: Any) -> Any:
            raise AssertionError("the loop's executor was used")

    async def test() -> None:
        asyncio.get_running_loop().set_default_executor(Nobody())
        vetted = VettedNames(lambda: policy(("open.example.org",)))
        vetted.install(asyncio.get_running_loop())
        assert await asyncio.get_running_loop().getaddrinfo("open.example.org", 443) == address_info(PUBLIC)

    run(test())


def test_a_policy_that_goes_while_a_name_is_looked_up_lets_nothing_through() -> None:
    async def test() -> None:
        server = Server()
        current = [policy(("open.example.org",))]
        vetted = VettedNames(lambda: current[0])
        vetted.lookup = server
        asked = asyncio.create_task(vetted.vet("open.example.org", 443))
        await asyncio.sleep(0)
        current[0] = None  # type: ignore[call-overload]
        server.gate.set()
        refusal = await asked
        assert refusal is not None
        assert refusal.reason == "no_policy"

    run(test())


@pytest.mark.parametrize("error", [socket.gaierror("no such name"), UnicodeError("label too long"), OSError("none")])
def test_a_name_that_there_is_not(error: Exception) -> None:
    async def test() -> None:
        async def server(host: str, port: int) -> list[Any]:
            raise error

        refusal = await names(server).vet("open.example.org", 443)
        assert refusal is not None
        assert (refusal.reason, refusal.status) == ("unresolvable", 502)

    run(test())
