"""Calls, at each hook, only those addons that have it.

mitmproxy asks every addon at every hook, and once more for an update after each hook of a flow: a hundred questions for
each request, of which a dozen have an answer.
"""

from __future__ import annotations

from typing import Any

from mitmproxy import exceptions, hooks
from mitmproxy.addonmanager import AddonManager, safecall, traverse


class Listeners(AddonManager):
    """mitmproxy's manager of addons. Each addon is called as there: in the order of `add`, errors logged, until one
    halts the others."""

    def __init__(self, master: Any) -> None:
        self._of: dict[str, list[Any]] = {}  # hook's name to the addons that have it
        super().__init__(master)  # type: ignore[no-untyped-call]

    def add(self, *addons: Any) -> None:
        super().add(*addons)  # type: ignore[no-untyped-call]
        self._of.clear()

    def remove(self, addon: Any) -> None:
        super().remove(addon)  # type: ignore[no-untyped-call]
        self._of.clear()

    async def trigger_event(self, event: hooks.Hook) -> None:
        for addon in self._listeners(event.name):
            try:
                with safecall():
                    await self.invoke_addon(addon, event)
            except exceptions.AddonHalt:
                return

    def _listeners(self, hook: str) -> list[Any]:
        if hook not in self._of:
            self._of[hook] = [addon for addon in self.chain if any(getattr(one, hook, None) for one in _family(addon))]
        return self._of[hook]


def _family(addon: Any) -> Any:
    """An addon and those within it."""
    return traverse([addon])
