"""The budget of held bytes: order, two pools, and what comes beyond."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine

from claude_bottle.policy.held_budget import LARGE_POOL, SMALL, HeldBudget

MB = 1 << 20


def on_a_loop(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """A test that waits."""

    @functools.wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


@on_a_loop
async def test_what_comes_beyond_waits_and_goes_on_in_order() -> None:
    budget = HeldBudget()
    for number in range(2):
        assert await budget.hold(f"first {number}", 14 * MB)
    done: list[str] = []

    async def later(key: str, size: int) -> None:
        assert await budget.hold(key, size)
        done.append(key)

    tasks = [asyncio.create_task(later(*one)) for one in (("a", 26 * MB), ("b", 2 * MB))]
    await asyncio.sleep(0)
    budget.release("first 0")
    await asyncio.sleep(0.01)
    assert done == []  # b fits, but a was first: else large ones would never have a turn
    budget.release("first 1")
    await asyncio.gather(*tasks)
    assert done == ["a", "b"]


@on_a_loop
async def test_what_waits_in_vain_is_refused_and_holds_up_nobody() -> None:
    budget = HeldBudget()
    assert await budget.hold("all", LARGE_POOL - 5 * MB)
    refused = asyncio.create_task(budget.hold("large", 20 * MB, 0.05))
    await asyncio.sleep(0)
    behind = asyncio.create_task(budget.hold("behind", 2 * MB))
    assert not await refused
    assert await behind
    assert budget.held == LARGE_POOL - 3 * MB
    assert not await budget.hold("now", 20 * MB, 0)


@on_a_loop
async def test_small_ones_never_wait_for_large_ones() -> None:
    budget = HeldBudget()
    assert await budget.hold("all", LARGE_POOL)
    assert await budget.hold("small", SMALL, 0)
    assert not await budget.hold("more", 2 * MB, 0)


@on_a_loop
async def test_a_body_that_grows_out_of_its_pool_keeps_it_and_all_comes_back() -> None:
    """As many as there is room for their first bytes may all go on to a large one, one after the other."""
    budget = HeldBudget()
    keys = [str(number) for number in range(128)]
    for key in keys:
        assert await budget.hold(key, SMALL // 4)

    async def grow(key: str) -> None:
        assert await budget.hold(key, 20 * MB)
        await asyncio.sleep(0)
        budget.release(key)

    await asyncio.gather(*map(grow, keys))
    assert budget.held == 0


@on_a_loop
async def test_the_longest_body_that_is_held_has_room() -> None:
    budget = HeldBudget()
    assert not await budget.hold("long", 256 * MB, 0.01)
    budget.fit(256 * MB)
    assert await budget.hold("long", 256 * MB)
