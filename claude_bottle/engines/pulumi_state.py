"""Reads Pulumi's state of a stack."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from claude_bottle.engines.client import EngineError
from claude_bottle.host.local_backend import state_file
from claude_bottle.host.pulumi_stack import PulumiError, exported


def ids_in_state(stack: str) -> set[str]:
    """Ids of all resources in the stack's state. Raises EngineError if the state cannot be read."""
    return ids_of(resources_in_state(stack))


def resources_in_state(stack: str) -> list[dict[str, Any]]:
    """The resources as recorded in the state, secrets encrypted. Raises EngineError if the state cannot be read."""
    if (file := state_file(stack)) is not None:  # the file that Pulumi's command would read, after 0.2 s of start-up
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return list(json.loads(file.read_text())["checkpoint"]["latest"].get("resources") or [])
    try:
        return exported(stack)
    except PulumiError as error:
        raise EngineError(str(error)) from None


def ids_of(resources: Iterable[Mapping[str, Any]]) -> set[str]:
    """The ids of those resources that have one."""
    return {resource["id"] for resource in resources if resource.get("id")}
