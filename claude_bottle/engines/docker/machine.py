"""The engine and a stack's state, asked side by side while the rest of the program is still being loaded."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any

from claude_bottle.engines.docker.drift import Drift, drift_of, put_of
from claude_bottle.engines.docker.engine import Engine, EngineError, Part
from claude_bottle.engines.docker.live import Look, look
from claude_bottle.engines.sidecars import SIDECARS
from claude_bottle.host.stale_lock import state_file
from claude_bottle.host.type_tokens import is_of


class Machine(Engine):
    """The engine that the process' variables name, asked once, when this is made; whoever wants an answer waits for it.

    What an Engine raises is raised where the answer is wanted.
    """

    def __init__(self, stack: str) -> None:
        super().__init__()
        self._stack = stack
        pool = ThreadPoolExecutor(5 + len(SIDECARS))  # one for each
        self._looks: dict[str, Future[Look]] = {role: pool.submit(look, role, stack, self._env) for role in SIDECARS}
        self._state: Future[list[dict[str, Any]]] = pool.submit(resources_in_state, stack)
        self._info: Future[dict[str, Any]] = pool.submit(lambda: Engine().info)
        self._networks: Future[list[dict[str, Any]]] = pool.submit(lambda: Engine().networks)
        self._parts: Future[list[Part]] = pool.submit(super().parts, stack)
        self._images: Future[frozenset[str]] = pool.submit(super().own_images)
        pool.shutdown(wait=False)

    @cached_property
    def info(self) -> dict[str, Any]:
        return self._info.result()

    @cached_property
    def networks(self) -> list[dict[str, Any]]:
        return self._networks.result()

    def known_ids(self) -> set[str]:
        """Ids of all resources in the stack's state. Raises EngineError."""
        return _ids(self._state.result())

    def drifts(self) -> dict[str, Drift]:
        """By role of a sidecar, what is live there and was not put there by this stack. Raises EngineError."""
        looks = {role: found.result() for role, found in self._looks.items()}
        state = self._state.result()
        return {role: drift_of(role, seen, put_of(role, self._stack, state)) for role, seen in looks.items()}

    def last_plan(self) -> dict[str, Any]:
        """The plan of the last `up` that ended, from the state; empty where there is none. Raises EngineError."""
        for resource in self._state.result():
            if resource.get("type") == "pulumi:pulumi:Stack":
                plan = (resource.get("outputs") or {}).get("plan")
                return dict(plan) if isinstance(plan, dict) else {}
        return {}

    def bottles_name(self) -> str | None:
        """The name that the bottle in the state was brought up with; None where there is none. Raises EngineError."""
        names = (
            str(resource["urn"]) for resource in self._state.result() if is_of("Bottle", str(resource.get("type")))
        )
        return next((urn.rpartition("::")[2] for urn in names), None)

    def last_checkout(self) -> dict[str, str]:
        """Who brought the bottle up last (host/checkout.py); empty where nobody did. Raises EngineError."""
        for resource in self._state.result():
            if is_of("Bottle", str(resource.get("type"))):
                said = (resource.get("outputs") or {}).get("checkout")
                return {key: str(value) for key, value in said.items()} if isinstance(said, dict) else {}
        return {}

    def parts(self, stack: str) -> list[Part]:
        return self._parts.result() if stack == self._stack else super().parts(stack)

    def own_images(self) -> frozenset[str]:
        return self._images.result()


def ids_in_state(stack: str) -> set[str]:
    """Ids of all resources in the stack's state. Raises EngineError when Pulumi cannot tell."""
    return _ids(resources_in_state(stack))


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


def _ids(resources: list[dict[str, Any]]) -> set[str]:
    return {resource["id"] for resource in resources if resource.get("id")}
