"""`pulumi preview` and `pulumi up` of one stack through the automation API, with progress."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pulumi import automation as auto

from claude_bottle.engines.client import NOT_BUILT
from claude_bottle.host.local_backend import all_stale, remove_broken
from claude_bottle.host.stack_names import stack_path
from claude_bottle.host.type_tokens import is_of
from claude_bottle.plan.diff import changes, secrets_changed
from claude_bottle.policy.errors import BottleError

Tell = Callable[[str], None]
_SHOWN = ("create", "update", "replace", "delete")


class BusyError(BottleError):
    """Nothing was done, because another process is using this stack."""


class _Workspace(auto.LocalWorkspace):
    def select_stack(self, stack_name: str) -> None:
        """Do nothing: every command names its stack, and the stack that the owner has selected stays selected."""


@dataclass(frozen=True)
class Previewed:
    """gains: what changes for the agent, in words. steps: of Pulumi, a line each. secrets: those whose value differs
    from the one in use, in words; also included in gains.
    """

    gains: list[str]
    steps: list[str]
    secrets: list[str] = field(default_factory=list)


class StackRunner:
    """One stack of the project. Raises BottleError with Pulumi's own message."""

    def __init__(self, stack: str, project: Path) -> None:
        self._stack_name, self._project = stack, project

    def preview(self, text: str) -> Previewed:
        """What `up` would do with this text in the stack file. The file itself is not changed."""
        steps: list[str] = []
        plans: list[tuple[Any, Any]] = []
        seen: list[dict[str, Any]] = []

        def event(engine_event: Any) -> None:
            step = engine_event.resource_pre_event and engine_event.resource_pre_event.metadata
            if not step:
                return
            old, new = ((age.inputs or {}).get("plan") if age else None for age in (step.old, step.new))
            states = {f"{age}State": {"inputs": at.inputs} for age, at in (("old", step.old), ("new", step.new)) if at}
            seen.append({"urn": step.urn, **states})
            if is_of("Bottle", step.urn) and new and step.op.value != "refresh":
                plans.append((old, new))
            if step.op.value in _SHOWN and step.type.startswith(("docker:", "command:", "tls:")):
                steps.append(f"{step.op.value} {step.type.rpartition(':')[2]} {step.urn.rpartition('::')[2]}")

        with tempfile.TemporaryDirectory(prefix="claude-bottle-") as folder:
            file = stack_path(self._stack_name, Path(folder))
            file.write_text(text)
            self._run(lambda s, tell: s.preview(on_event=event, on_output=tell, config_file=str(file)), None)
        gains = [line for old, new in plans[-1:] for line in changes(old, new)]
        secrets = list(secrets_changed(seen))
        return Previewed(gains + secrets, list(dict.fromkeys(steps)), secrets)

    def up(self, tell: Tell) -> None:
        """Apply the stack file. tell: gets Pulumi's lines as they arrive."""
        why: list[str] = []

        def event(engine_event: Any) -> None:
            if (said := engine_event.diagnostic_event) and NOT_BUILT in said.message:
                why.append(re.sub(r"<\{%[^%]*%\}>", "", said.message).strip())

        try:
            self._run(
                lambda s, out: s.up(on_output=out, on_event=event, show_secrets=False, suppress_outputs=True), tell
            )
        except BottleError:
            if why:
                raise BottleError(why[0]) from None
            raise

    def _run(self, do: Callable[[auto.Stack, Tell], Any], tell: Tell | None) -> None:
        said: list[str] = []

        def out(line: str) -> None:
            said.append(line)
            if tell is not None and line.strip():
                tell(line.rstrip())

        def once() -> None:
            do(auto.Stack.select(self._stack_name, workspace), out)

        env = {"PULUMI_SKIP_UPDATE_CHECK": "true", "NO_COLOR": "1"}
        try:
            workspace = _Workspace(work_dir=str(self._project), env_vars={**os.environ, **env})
            remove_broken(self._stack_name)
            try:
                once()
            except auto.errors.ConcurrentUpdateError:
                if not all_stale(self._stack_name):
                    raise
                out("a killed pulumi has left its lock; deleting it")
                auto.Stack.select(self._stack_name, workspace).cancel()
                once()
        except auto.errors.ConcurrentUpdateError:
            raise BusyError(f"another pulumi is running on {self._stack_name}; wait for it, then try again") from None
        except auto.errors.CommandError as error:
            raise BottleError(_reason(said, str(error))) from None


def _reason(said: list[str], error: str) -> str:
    """Pulumi's diagnostics, without its progress."""
    lines = [line.rstrip() for line in said if line.strip()]
    start = next((n for n, line in enumerate(lines) if line.startswith("Diagnostics:")), None)
    if start is None:
        return "pulumi: " + ("\n".join(lines[-5:]) or error.strip()[-1000:])
    diagnostics = lines[start + 1 :]
    end = next(
        (n for n, line in enumerate(diagnostics) if line.startswith(("Resources:", "Outputs:"))), len(diagnostics)
    )
    return "\n".join(diagnostics[:end]) or error.strip()[-1000:]
