"""The page in a real browser, over proposals that a test makes up: what is seen on a phone, and when a verdict is seen."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, expect, sync_playwright

from dashboard import server
from toolchain.dev_packages import find_browser

TOKEN = "t" * 43
SHOTS = os.environ.get("CLAUDE_BOTTLE_SCREENSHOTS", "")
PARTS = [{"role": role, "health": "healthy", "status": "Up"} for role in ("agent", "egress", "pipelock", "supervise")]


def proposal(identity: str, gain: str) -> dict[str, Any]:
    fields = {"id": identity, "created": time.time(), "tool": "egress-block", "words": "for the build", "request": {}}
    return {**fields, "gain": gain, "verdict": "pending", "reply": "", "note": "", "decided": 0, "content": False,
            "at_work": False}  # fmt: skip


class Verdicts:
    """An Approval whose verdicts take effect at once; what its page reads of it besides is not there."""

    def approve(self, *_: Any, **__: Any) -> str:
        return "it passes, status 200"

    def reject(self, *_: Any) -> None: ...


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    async def nothing(*_: Any) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    dashboard = server.Dashboard(tmp_path, port=0, token=TOKEN)
    monkeypatch.setattr(dashboard.monitor, "run", nothing)
    monkeypatch.setattr(dashboard, "_keep_up", nothing)
    monkeypatch.setattr(dashboard, "_approval", lambda *_: Verdicts())
    monkeypatch.setattr(dashboard, "_may_approve", lambda *_: None)
    monkeypatch.setattr(
        dashboard, "_detail", lambda *_: {"yaml": "", "held": {}, "grants": None, "diff": "+ x", "notes": []}
    )
    dashboard.monitor.bottles = {name: {"stack": name, "declared": True, "parts": PARTS} for name in ("a", "b", "c")}
    dashboard.monitor.proposals = {
        "a": [proposal("p-1", "reach one.example.com"), proposal("p-2", "reach two.example.com")]
    }
    config = uvicorn.Config(dashboard.app, port=0, log_level="error")
    running = uvicorn.Server(config)
    listener = config.bind_socket()
    port = listener.getsockname()[1]
    dashboard.app.user_middleware[0].kwargs["port"] = port
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{port}/?token={TOKEN}"
    running.should_exit = True
    dashboard.bus.close()
    thread.join(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize(("width", "above"), [(390, True), (1200, False)])
def test_on_a_phone_proposals_come_first(url: str, browser: Browser, width: int, above: bool) -> None:
    page = browser.new_context(viewport={"width": width, "height": 844}).new_page()
    page.goto(url)
    expect(page.locator("#proposals .proposal")).to_have_count(2)
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"page-{width}.png"))
    tops = [page.locator(f"section.{name}").bounding_box() for name in ("proposals", "bottles")]
    assert tops[0] is not None
    assert tops[1] is not None
    assert (tops[0]["y"] < tops[1]["y"]) is above
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".for select").first.input_value() == "15m"


@pytest.mark.parametrize(("verdict", "words"), [("approve", "approved: reach one"), ("reject", "rejected: reach one")])
def test_a_verdict_is_seen_within_a_second(url: str, browser: Browser, verdict: str, words: str) -> None:
    page = browser.new_context(viewport={"width": 1200, "height": 844}).new_page()
    page.goto(url)
    card = page.locator("#proposals .proposal", has_text="one.example.com")
    card.locator(f".{verdict}").click()
    card.locator(f".{verdict}").click()
    expect(page.locator("#proposals .proposal")).to_have_count(1, timeout=30_000)
    expect(page.locator("#answered .proposal")).to_have_count(1, timeout=30_000)
    expect(page.locator("#last")).to_contain_text(words, timeout=30_000)
    assert page.locator("#answered button:visible").count() == 0
