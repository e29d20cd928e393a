"""While a proxy starts, or makes the rules of a new policy, it answers; nothing passes unmasked or half judged.

Source of the demand: RFC 9110, 15.6.4: a server that cannot yet handle a request answers 503.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from flows import flow
from mitmproxy import http
from mitmproxy.test import taddons

from addons.egress import addon as egress
from addons.egress import token_masks
from addons.egress.addon import Egress
from addons.egress.token_masks import TokenMasks
from addons.frame.proxy import ProxyAddon
from addons.pipelock import policy as pipelock_policy
from addons.pipelock.addon import Pipelock
from claude_bottle.dlp.tokens.reflection import TokenMask
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.pipelock import render
from claude_bottle.policy.routes.table import RouteTable

TOKEN = "ghp_" + "Zk3v9QpX1mB7cR5tY8wL2nD6hF4jG0sA1zKw"  # shaped like GitHub's, valid nowhere
HOST = "open.example.org"
POLICY = render(Manifest.model_validate({"pipelock": {"allow": [HOST]}}))


class Gate:
    """Stands before work that takes long, in whichever thread it is done."""

    def __init__(self) -> None:
        self.open, self.threads = threading.Event(), list[threading.Thread]()

    def wait(self) -> None:
        self.threads.append(threading.current_thread())
        assert self.open.wait(100)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@asynccontextmanager
async def started(addon: ProxyAddon, gate: Gate) -> AsyncIterator[None]:
    with taddons.context(addon):
        addon.running()
        await until(lambda: bool(gate.threads))
        try:
            yield
        finally:
            gate.open.set()
            addon.done()


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.01)


async def ask(addon: ProxyAddon, exchange: http.HTTPFlow) -> tuple[int, dict[str, Any]]:
    """The answer of the proxy itself, or (0, {}) where the request goes on."""
    await addon.requestheaders(exchange)
    await addon.request(exchange)
    return (
        (exchange.response.status_code, json.loads(exchange.response.content or b"")) if exchange.response else (0, {})
    )


def made_egress(folder: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Egress:
    routes = [{"host": HOST}, {"host": "key.example.com", "auth_scheme": "bearer", "slot": "EGRESS_TOKEN_0"}]
    (folder / "routes.json").write_text(json.dumps({"version": 1, "routes": routes}))
    (folder / "tokens.json").write_text(json.dumps({"EGRESS_TOKEN_0": TOKEN}))

    def slowly(*args: Any) -> TokenMasks:
        gate.wait()
        return token_masks.read_masks(*args)

    monkeypatch.setattr(egress, "read_masks", slowly)
    return Egress(folder / "routes.json", folder / "tokens.json", folder)


def made_pipelock(folder: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Pipelock:
    (folder / "pipelock.yaml").write_text(POLICY)
    real = pipelock_policy._rules

    def slowly(*args: Any) -> Any:
        gate.wait()
        return real(*args)

    monkeypatch.setattr(pipelock_policy, "_rules", slowly)
    return Pipelock(folder / "pipelock.yaml", folder)


@pytest.mark.parametrize("make", [made_egress, made_pipelock])
def test_what_comes_before_all_is_ready_is_told_to_come_again(
    make: Any, tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    addon = make(tmp_path, gate, monkeypatch)

    async def go() -> None:
        async with started(addon, gate):
            for url in (f"https://{HOST}/x", f"https://{HOST}/{TOKEN}", "https://other.example.org/x"):
                status, body = await ask(addon, flow(url))
                assert (status, body["reason"], body["refused_by"]) == (503, "starting", addon.part)
                assert "Try again" in body["message"]
                assert "ask_with" not in body  # no approval helps
            status, body = await ask(addon, flow(f"http://{addon.own_host}/health"))
            assert (status, body["status"]) == (503, "starting")
            gate.open.set()
            await until(addon.is_ready)
            status, body = await ask(addon, flow(f"http://{addon.own_host}/health"))
            assert (status, body["status"]) == (200, "ok")
            assert (await ask(addon, flow("https://other.example.org/x")))[0] == 403
            if isinstance(addon, Egress):
                assert (await ask(addon, flow(f"https://{HOST}/x")))[0] == 0
                assert (await ask(addon, flow(f"https://{HOST}/{TOKEN}")))[1]["reason"] == "token_in_request"

    asyncio.run(go())
    assert threading.main_thread() not in gate.threads
    logged = capsys.readouterr().out
    assert TOKEN not in logged
    assert '"starting"' in logged


def test_tokens_that_cannot_be_looked_for_let_nothing_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    addon = made_egress(tmp_path, gate, monkeypatch)
    monkeypatch.setattr(token_masks, "TokenMask", lambda *_: 1 / 0)

    async def go() -> None:
        async with started(addon, gate):
            gate.open.set()
            assert addon._watcher._task is not None
            await addon._watcher._task
            assert (await ask(addon, flow(f"https://{HOST}/x")))[0] == 503

    asyncio.run(go())


def test_rules_of_a_new_policy_are_made_beside_and_put_in_force_whole(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    addon = made_pipelock(tmp_path, gate, monkeypatch)
    gate.open.set()
    narrower = Manifest.model_validate({"pipelock": {"allow": ["new.example.org"], "dlp": {"patterns": [
        {"name": "mine", "regex": "MINE[0-9]{8}"}]}}})  # fmt: skip

    async def go() -> None:
        async with started(addon, gate):
            await until(addon.is_ready)
            before = addon._file.current
            gate.open.clear()
            gate.threads.clear()
            (tmp_path / "pipelock.yaml").write_text(render(narrower))
            await until(lambda: bool(gate.threads))
            # The rules of the new one are being made: the old one is in force, the allowlist with its rules.
            assert addon._file.current is before
            assert (await ask(addon, flow("https://new.example.org/")))[1]["reason"] == "domain_not_allowed"
            gate.open.set()
            await until(lambda: addon._file.current is not before)
            assert addon._file.current is not None
            assert [name for name, _ in addon._file.current.policy.patterns] == ["mine"]
            assert (await ask(addon, flow("https://new.example.org/MINE12345678")))[1]["reason"] == "dlp_match"
            assert (await ask(addon, flow(f"https://{HOST}/")))[1]["reason"] == "domain_not_allowed"

    asyncio.run(go())
    assert threading.main_thread() not in gate.threads


def table(*slots: str, host: str = "many.example.com") -> RouteTable:
    routes = [{"host": host, "paths": [f"/{s}"], "auth_scheme": "bearer", "slot": s} for s in slots]
    return RouteTable.parse(json.dumps({"version": 1, "routes": routes}).encode())


def test_a_host_with_many_tokens_has_its_mask_before_the_table_is_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = {f"EGRESS_TOKEN_{n}": f"ghp_{n:04d}" + TOKEN[8:] for n in range(20)}
    masks, builds = TokenMasks(tokens), list[int]()

    class Counted(TokenMask):
        def build(self) -> None:
            builds.append(1)
            super().build()

    monkeypatch.setattr(token_masks, "TokenMask", Counted)
    prepared = masks.prepare(table(*tokens))
    assert builds == [1]
    mask = masks.of("many.example.com", prepared)
    assert builds == [1]
    assert all(mask.found_in(token.encode()) for token in tokens.values())


def test_what_a_host_was_sent_stays_masked_there_and_nowhere_else() -> None:
    masks = TokenMasks({"EGRESS_TOKEN_0": TOKEN})
    masks.give("a.example.com", "EGRESS_TOKEN_0")
    for now in (None, table("EGRESS_TOKEN_1", host="a.example.com")):
        assert masks.of("a.example.com", now).found_in(TOKEN.encode())
        assert not masks.of("b.example.com", now).found_in(TOKEN.encode())
