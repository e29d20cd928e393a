"""One change of a manifest, as a proposal asks for it and an approval makes it. Pure.

Used by supervise, which checks a change before anybody is asked, and by the owner's side, which makes it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from components.manifest import Manifest

# What an agent may ask for at all: ways out, and what it is made of. Nothing that names a secret or a file of the host.
APPENDS = ("egress.routes", "pipelock.allow", "agent.apt", "agent.npm")
SETS = ("agent.memory", "agent.cpus")
_ROUTE_KEYS = {"host", "path", "methods", "description"}


class ChangeError(ValueError):
    """The change is not one that can be asked for; the message says why."""


@dataclass(frozen=True)
class Change:
    """path: key path in the manifest. value: appended to a list, or put in place of what is there."""

    path: str
    value: Any

    @classmethod
    def read(cls, told: object) -> Change:
        """From JSON. Raises ChangeError on anything that an agent may not ask for."""
        if not isinstance(told, Mapping) or set(told) != {"path", "value"}:
            raise ChangeError("a change is an object with path and value")
        path, value = told["path"], told["value"]
        if path not in (*APPENDS, *SETS):
            raise ChangeError(f"{path}: can be asked for: {', '.join((*APPENDS, *SETS))}")
        if path == "egress.routes":
            if not isinstance(value, Mapping) or not set(value) <= _ROUTE_KEYS:
                raise ChangeError(
                    "a route that is asked for has host, path, methods and description; tokens are the owner's"
                )
            value = dict(value)
        change = cls(path, value)
        change.check()
        return change

    def to_json(self) -> dict[str, Any]:
        """What `read` takes."""
        return {"path": self.path, "value": self.value}

    def check(self) -> None:
        """Raises ChangeError unless the manifest's model accepts the value by itself."""
        try:
            Manifest.model_validate(self.on({}))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ChangeError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None

    def on(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """The manifest with this change; the given one stays as it is."""
        made: dict[str, Any] = copy.deepcopy(dict(manifest))
        *way, last = self.path.split(".")
        place: Any = made
        for key in way:
            place = place.setdefault(key, {})
        if self.path in APPENDS:
            if self.value not in place.setdefault(last, []):
                place[last].append(self.value)
        else:
            place[last] = self.value
        return made

    def in_words(self) -> str:
        """What the agent would gain."""
        if self.path == "egress.routes":
            route = self.value
            methods = ", ".join(route.get("methods") or ["every method"])
            return f"reach {route['host']}: {methods} on {' or '.join(route.get('path') or ['every path'])}"
        gains = {
            "pipelock.allow": f"have {self.value} let through by pipelock, without a credential",
            "agent.apt": f"get the Debian package {self.value} (a new agent container, same home)",
            "agent.npm": f"get the npm package {self.value} (a new agent container, same home)",
            "agent.memory": f"use {self.value} of memory",
            "agent.cpus": f"use {self.value} cpus (a new agent container, same home)",
        }
        return gains[self.path]
