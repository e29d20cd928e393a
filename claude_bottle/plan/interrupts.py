"""Interruptions by the next `up`, from the steps of a preview: replaced containers, and what ends with them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_CONTAINER = "docker:index/container:Container"
_ANEW = ("replace", "create-replacement", "delete-replaced")
# Measured with docs/performance.md: a container is stopped within its grace period, created, and healthy.
_ENDS = {
    "agent": "its processes and sessions end; its home stays, and claude --continue resumes the session",
    "egress": "open requests through it end, and for some seconds no request passes",
    "pipelock": "open requests through it end, and for some seconds no request passes",
    "git-gate": "a running fetch or push ends, and for some seconds none can start",
    "supervise": "calls that wait for you are cut and ask again; proposals stay",
}


def interruptions(steps: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each part of the bottle whose container is replaced or deleted, in the order of the steps."""
    said = set()
    for step in steps:
        urn, op = str(step.get("urn", "")), step.get("op")
        if urn.split("::")[2:3] == [] or not urn.split("::")[2].endswith(_CONTAINER):
            continue
        role = next((one for one in _ENDS if urn.endswith(f"-{one}-container")), "")
        if not role or (role, op == "delete") in said:
            continue
        if op in _ANEW:
            said.add((role, False))
            yield f"{role}: a new container; {_ENDS[role]}"
        elif op == "delete":
            said.add((role, True))
            yield f"{role}: its container is deleted; open requests through it end"
