"""Hooks reach the addons as mitmproxy's own manager does it. Source: mitmproxy 12, addonmanager.py."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from mitmproxy import exceptions, hooks, master, options
from mitmproxy.addonmanager import AddonManager
from mitmproxy.proxy.layers.http import HttpRequestHook, HttpResponseHook
from mitmproxy.test import tflow

from addons.http.listeners import Listeners


class Named:
    def __init__(self, name: str, calls: list[str]) -> None:
        self.name, self._calls = name, calls

    def request(self, flow: Any) -> None:
        self._calls.append(f"{self.name} request")


class Waiting(Named):
    async def request(self, flow: Any) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        super().request(flow)


class Updated(Named):
    def update(self, flows: Any) -> None:
        self._calls.append(f"{self.name} update")


class Broken(Named):
    def request(self, flow: Any) -> None:
        raise ValueError("of an addon")


class Halting(Named):
    def request(self, flow: Any) -> None:
        raise exceptions.AddonHalt


class Family(Named):
    request = None  # type: ignore[assignment]

    def __init__(self, name: str, calls: list[str]) -> None:
        super().__init__(name, calls)
        self.addons = [Named(f"{name}'s", calls)]


KINDS = [[Named], [Waiting, Updated], [Broken, Named], [Named, Halting, Named], [Family, Updated], []]


def calls_of(manager: type[AddonManager], kinds: list[type[Named]]) -> list[str]:
    calls: list[str] = []

    async def run() -> None:
        server = master.Master(options.Options(), event_loop=asyncio.get_running_loop())
        server.addons = manager(server)
        for number, kind in enumerate(kinds):
            server.addons.add(kind(f"{kind.__name__}{number}", calls))
        for hook in (HttpRequestHook, HttpResponseHook, HttpRequestHook):
            await server.addons.handle_lifecycle(hook(tflow.tflow()))

    asyncio.run(run())
    return calls


@pytest.mark.parametrize("kinds", KINDS, ids=lambda kinds: " ".join(kind.__name__ for kind in kinds) or "none")
def test_the_same_calls_in_the_same_order(kinds: list[type[Named]], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    assert calls_of(Listeners, kinds) == calls_of(AddonManager, kinds)


def test_addons_that_come_and_go() -> None:
    calls: list[str] = []

    async def run() -> None:
        server = master.Master(options.Options(), event_loop=asyncio.get_running_loop())
        server.addons = Listeners(server)
        first, second = Named("first", calls), Named("second", calls)
        for step in (
            lambda: server.addons.add(first),
            lambda: server.addons.add(second),
            lambda: server.addons.remove(first),
        ):
            step()
            await server.addons.trigger_event(HttpRequestHook(tflow.tflow()))

    asyncio.run(run())
    assert calls == ["first request", "first request", "second request", "second request"]


def test_an_addon_without_a_hook_is_not_asked() -> None:
    class Silent(Named):
        def __getattribute__(self, name: str) -> Any:
            if name == "response":
                asked.append(name)
            return super().__getattribute__(name)

    asked: list[str] = []

    async def run() -> None:
        server = master.Master(options.Options(), event_loop=asyncio.get_running_loop())
        server.addons = Listeners(server)
        server.addons.add(Silent("silent", []))
        for _ in range(3):
            await server.addons.trigger_event(HttpResponseHook(tflow.tflow()))

    asyncio.run(run())
    assert asked == ["response"]
    assert issubclass(HttpResponseHook, hooks.Hook)
