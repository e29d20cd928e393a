"""What Pulumi's state has of a stack."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any

from claude_bottle.engines.client import EngineError
from claude_bottle.host.stale_lock import state_file


def ids_in_state(stack: str) -> set[str]:
    """Ids of all resources in the stack's state. Raises EngineError when Pulumi cannot tell."""
    return ids_of(resources_in_state(stack))


def resources_in_state(stack: str) -> list[dict[str, Any]]:
    """The resources as the state has them, secrets encrypted. Raises EngineError when Pulumi cannot tell."""
    if (file := state_file(stack)) is not None:  # what Pulumi's command would read, after 0.2 s of its own
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return list(json.loads(file.read_text())["checkpoint"]["latest"].get("resources") or [])
    # The variables of the running program would make the command believe that it is a program itself.
    mine = (
        "PULUMI_BACKEND_URL",
        "PULUMI_HOME",
        "PULUMI_ACCESS_TOKEN",
        "PULUMI_SKIP_UPDATE_CHECK",
        "PULUMI_CONFIG_PASS",
    )
    env = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_") or key.startswith(mine)}
    argv = ["pulumi", "stack", "export", "--non-interactive", "--stack", stack]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, env=env, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"pulumi stack export: {error}") from None
    if done.returncode != 0:
        raise EngineError(f"pulumi stack export: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return list(json.loads(done.stdout)["deployment"].get("resources") or [])


def ids_of(resources: Iterable[Mapping[str, Any]]) -> set[str]:
    """The ids of these resources."""
    return {resource["id"] for resource in resources if resource.get("id")}
