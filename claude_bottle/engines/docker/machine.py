"""Queries the engine and a stack's state in parallel while the rest of the program is still loading."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any

from claude_bottle.engines.docker.engine import Engine, Part
from claude_bottle.engines.docker.facts import gather
from claude_bottle.engines.docker.live.drift import Drift, drift_of, put_of
from claude_bottle.engines.docker.live.look import Look, look
from claude_bottle.engines.facts import Facts
from claude_bottle.engines.pulumi_state import ids_of, resources_in_state
from claude_bottle.engines.sidecars import SIDECARS
from claude_bottle.host.type_tokens import is_of


class Machine(Engine):
    """The engine that this process's variables name. All queries start here, and a method waits for its answer.

    A method raises what its query raised.
    """

    def __init__(self, stack: str) -> None:
        super().__init__()
        self._stack = stack
        pool = ThreadPoolExecutor(5 + len(SIDECARS))  # one thread for each query
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

    def facts(self, images: Sequence[str]) -> Facts:
        """The facts for preflight. images: names of images that others have built. Raises EngineError."""
        return gather(self, self._stack, images)

    def known_ids(self) -> set[str]:
        """Ids of all resources in the stack's state. Raises EngineError."""
        return ids_of(self._state.result())

    def drifts(self) -> dict[str, Drift]:
        """The drift of each sidecar, by role. Raises EngineError."""
        looks = {role: future.result() for role, future in self._looks.items()}
        state = self._state.result()
        return {role: drift_of(role, seen, put_of(role, self._stack, state)) for role, seen in looks.items()}

    def last_plan(self) -> dict[str, Any]:
        """The plan that the last finished `up` recorded in the state; empty if there is none. Raises EngineError."""
        for resource in self._state.result():
            if resource.get("type") == "pulumi:pulumi:Stack":
                plan = (resource.get("outputs") or {}).get("plan")
                return dict(plan) if isinstance(plan, dict) else {}
        return {}

    def bottles_name(self) -> str | None:
        """The name under which the bottle is in the state; None if it is not. Raises EngineError."""
        names = (
            str(resource["urn"]) for resource in self._state.result() if is_of("Bottle", str(resource.get("type")))
        )
        return next((urn.rpartition("::")[2] for urn in names), None)

    def last_checkout(self) -> dict[str, str]:
        """The checkout that last ran `up` (host/checkout.py); empty if none is recorded. Raises EngineError."""
        for resource in self._state.result():
            if is_of("Bottle", str(resource.get("type"))):
                said = (resource.get("outputs") or {}).get("checkout")
                return {key: str(value) for key, value in said.items()} if isinstance(said, dict) else {}
        return {}

    def parts(self, stack: str) -> list[Part]:
        return self._parts.result() if stack == self._stack else super().parts(stack)

    def own_images(self) -> frozenset[str]:
        return self._images.result()
