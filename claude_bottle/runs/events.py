"""Translates Pulumi's event log of a run to the terms of a bottle: changes, warnings, and each error once. Pure.

The events are those of `pulumi up --event-log` (github.com/pulumi/pulumi, sdk/go/common/apitype/events.go).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from claude_bottle.engines.client import NOT_BUILT

_MARKS = {"create": "+", "update": "~", "create-replacement": "±", "delete": "-"}
_COLOUR = re.compile(r"<\{%[^%]*%\}>")
_HASH = re.compile(r"-[0-9a-f]{16}\Z")
_NOISE = re.compile(
    r"\s*sdk-v2/provider2\.go:\d+: sdk\.helper_schema: |: provider=docker@\S+|\A1 error occurred:\s*\* "
    r"|\Aexit status \d+: running \"eval [^\n]*\":\s*"
)
_EXIT_CODE = re.compile(r"buildx build|returned a non-zero code")
_OWN_WORDS = ("update failed", "preview failed")  # Pulumi's own, besides the reason
# Resource types and a person's terms for them. Other resources are steps within these.
_KINDS = {
    "docker:index/container:Container": "",
    "docker:index/network:Network": "",
    "docker:index/volume:Volume": "volume ",
}
IMAGE = "docker:index/remoteImage:RemoteImage"


class Run:
    """Takes the events in order."""

    def __init__(self, stack: str) -> None:
        self._stack = stack
        self.changed: list[str] = []  # a line for each changed part, with a mark
        self.steps = 0  # finished steps, including those that are not parts
        self.now = ""  # the last step that was started and is not finished
        self.warnings: list[str] = []
        self.errors: list[str] = []
        self._begun: dict[str, str] = {}

    def take(self, event: Mapping[str, Any]) -> str | None:
        """Take one event. Returns a line if a part has changed."""
        for key in ("resourcePreEvent", "resOutputsEvent", "resOpFailedEvent"):
            if isinstance(payload := event.get(key), Mapping):
                return self._step(key, payload.get("metadata") or {})
        if isinstance(payload := event.get("diagnosticEvent"), Mapping):
            self._diagnostic(payload)
        return None

    def _step(self, key: str, step: Mapping[str, Any]) -> str | None:
        urn, op = str(step.get("urn")), str(step.get("op"))
        if op not in _MARKS and op not in ("delete-replaced", "replace"):
            return None
        words = self._words(urn, str(step.get("type")))
        if key == "resourcePreEvent":
            self._begun[urn] = words
        else:
            self._begun.pop(urn, None)
        self.now = next(reversed(self._begun.values()), "") if self._begun else ""
        if key != "resOutputsEvent" or op not in _MARKS:
            return None
        self.steps += 1
        if not words or (op == "delete" and step.get("type") == IMAGE):  # the image stays on the engine
            return None
        line = f"{_MARKS[op]} {words}"
        self.changed.append(line)
        return line

    def _words(self, urn: str, kind: str) -> str:
        name = urn.rpartition("::")[2].removeprefix(f"{self._stack}-")
        if kind == IMAGE:
            return "image " + _HASH.sub("", name).removeprefix("image-").replace("agent-image-", "agent ")
        if kind in _KINDS:
            return _KINDS[kind] + name.removesuffix("-container").replace("network-", "network ")
        if kind == "command:local:Command" and name.endswith("-put"):
            return name.removesuffix("-put").replace("-", " ")
        return ""

    def _diagnostic(self, diagnostic: Mapping[str, Any]) -> None:
        severity, text = diagnostic.get("severity"), _COLOUR.sub("", str(diagnostic.get("message", ""))).strip()
        if severity == "warning" and text and text not in self.warnings:
            self.warnings.append(text)
        if severity != "error" or not text or text in _OWN_WORDS:
            return
        text = _NOISE.sub("", text).strip()
        if not any(text in known for known in self.errors):
            self.errors = [known for known in self.errors if known not in text] + [text]
        if any(NOT_BUILT in known for known in self.errors):  # it has the reason; the provider only has the exit code
            self.errors = [known for known in self.errors if not _EXIT_CODE.search(known)]
