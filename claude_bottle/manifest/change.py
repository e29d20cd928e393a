"""What a proposal asks for: one change of the manifest, or one content let through once. Pure.

Used by supervise, which checks a change before anybody is asked, and by the owner's side, which makes it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.words import findings
from claude_bottle.policy.errors import Finding
from claude_bottle.policy.once import is_digest
from claude_bottle.policy.routes.route import KEYS

# What an agent may ask for at all: ways out, and what it is made of. Nothing that names a secret or a file of the host.
APPENDS = ("egress.routes", "pipelock.allow", "agent.apt", "agent.npm")
SETS = ("agent.memory", "agent.cpus")
# Not in the manifest: the part that holds a refused content, by its digest.
GRANTS = {"pipelock.once": "pipelock", "git.review": "git-gate"}
# What can end by itself: the proxies know the time, so this holds with no process of the owner's running.
ENDING = ("egress.routes", "pipelock.allow")
# Of a route: what an agent may ask for, and its description, which supervise gives it.
_ROUTE_KEYS = (*(key.name for key in KEYS.values() if key.asks), "description")


class ChangeError(ValueError):
    """The change is not one that can be asked for; the message says why."""


@dataclass(frozen=True)
class Change:
    """path: key path in the manifest, or one of GRANTS. value: appended to a list, put in place, or a digest.

    owner: whether these are the owner's own words, which may take something away; an agent's never do.
    """

    path: str
    value: Any
    owner: bool = field(default=False, compare=False)

    @classmethod
    def read(cls, data: object, *, owner: bool = False) -> Change:
        """From JSON. Raises ChangeError on anything that an agent may not ask for.

        owner: as the owner has edited it, who may also give a route a token or an end.
        """
        if not isinstance(data, Mapping) or set(data) != {"path", "value"}:
            raise ChangeError("a change is an object with path and value")
        path, value = data["path"], data["value"]
        if path not in (*APPENDS, *SETS, *GRANTS):
            raise ChangeError(f"{path}: cannot be requested; these can: {', '.join((*APPENDS, *SETS, *GRANTS))}")
        if path == "egress.routes":
            if not isinstance(value, Mapping) or not (owner or set(value) <= {*_ROUTE_KEYS}):
                asked = f"{', '.join(_ROUTE_KEYS[:-1])} and {_ROUTE_KEYS[-1]}"
                raise ChangeError(f"a requested route may have {asked}; only the owner sets tokens")
            value = dict(value)
        elif not owner and not isinstance(value, str | float):
            raise ChangeError(f"{path}: write a plain value")
        change = cls(path, value, owner)
        change.check()
        return change

    def to_json(self) -> dict[str, Any]:
        """What `read` takes."""
        return {"path": self.path, "value": self.value}

    def check(self) -> None:
        """Raises ChangeError unless the manifest's model accepts the value by itself."""
        if self.path in GRANTS:
            if not is_digest(self.value):
                raise ChangeError(f"{self.path}: write the digest from the refusal (sha256:…)")
            return
        try:
            Manifest.model_validate(self.on({}))
        except ValidationError as error:
            raise ChangeError("; ".join(str(self._within(one)) for one in findings(error))) from None

    def _within(self, one: Finding) -> Finding:
        """A finding with its path from this change on: whoever asks knows no index."""
        path = one.path.replace(f"{self.path}[0]", "", 1).lstrip(".") if self.path in APPENDS else one.path
        return replace(one, path=path or self.path)

    @property
    def grants(self) -> str | None:
        """The part that lets a content through once; None for a change of the manifest."""
        return GRANTS.get(self.path)

    def ending(self, until: str) -> Change:
        """The same for a limited time. until: a UTC time. Raises ChangeError for what does not end by itself."""
        if self.path not in ENDING:
            raise ChangeError("only routes and allowed hosts can have a limited time")
        value = dict(self.value) if isinstance(self.value, Mapping) else {"host": self.value}
        return self.with_value({**value, "until": until})

    def with_value(self, value: Any) -> Change:
        """The same about another value. Raises ChangeError."""
        change = replace(self, value=value)
        change.check()
        return change

    def on(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """The manifest with this change beside what is there; the given one stays as it is.

        For a stack file see claude_bottle/approvals/edit/stack_file.py: there a route comes with what it would shadow.
        """
        changed: dict[str, Any] = copy.deepcopy(dict(manifest))
        *way, last = self.path.split(".")
        place: Any = changed
        for key in way:
            place = place.setdefault(key, {})
        if self.path in APPENDS:
            if self.value not in place.setdefault(last, []):
                place[last].append(self.value)
        else:
            place[last] = self.value
        return changed

    def in_words(self) -> str:
        """What the agent would gain."""
        if self.path == "egress.routes":
            route = self.value
            methods = ", ".join(route.get("methods") or ["every method"])
            token = ""  # of an agent's wish it is not known yet (claude_bottle/approvals/edit/route_edit.py)
            if "token_ref" in route:
                token = f", with your {route['token_ref']}" if route["token_ref"] else ", without a credential"
            paths = " or ".join(route.get("path") or ["every path"])
            # What an agent may ask for by itself stands last.
            keys = sorted(KEYS.values(), key=lambda key: bool(key.asks))
            more = "".join(key.widens(route[key.name]) for key in keys if key.widens and route.get(key.name))
            return f"reach {route['host']}: {methods} on {paths}{token}{more}{_until(route)}"
        host = self.value["host"] if isinstance(self.value, Mapping) else self.value
        gains = {
            "pipelock.allow": f"reach {host} through pipelock, without a credential{_until(self.value)}",
            "pipelock.once": f"send once the request that DLP refused ({str(self.value)[:19]}…)",
            "git.review": f"send once the push that git-gate holds for your review ({str(self.value)[:19]}…)",
            "agent.apt": f"get the Debian package {self.value} (a new agent container, same home)",
            "agent.npm": f"get the npm package {self.value} (a new agent container, same home)",
            "agent.memory": f"use {self.value} of memory",
            "agent.cpus": f"use {self.value} cpus (a new agent container, same home)",
        }
        return gains[self.path]


def _until(value: Any) -> str:
    return f", until {value['until']}" if isinstance(value, Mapping) and value.get("until") else ""
