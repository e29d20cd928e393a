"""The change that a proposal asks for: one change of the manifest, or one content to allow once. Pure.

supervise checks a change with it before anybody is asked, and the owner's side makes it.
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

# All that an agent may ask for: destinations and resources. Nothing that names a secret or a file of the host.
APPENDS = ("egress.routes", "pipelock.allow", "agent.apt", "agent.npm")
SETS = ("agent.memory", "agent.cpus")
# Not in the manifest: the sidecar that holds a refused content, by the content's digest.
GRANTS = {"pipelock.once": "pipelock", "git.review": "git-gate"}
# Changes that can expire: the proxies enforce the time themselves, so no process of the owner's needs to run.
ENDING = ("egress.routes", "pipelock.allow")
# Keys of a route that an agent may ask for, and its description, which supervise sets.
_ROUTE_KEYS = (*(key.name for key in KEYS.values() if key.asks), "description")


class ChangeError(ValueError):
    """The change cannot be requested. The message says why."""


@dataclass(frozen=True)
class Change:
    """path: key path in the manifest, or one of GRANTS. value: appended to a list, set, or a digest.

    owner: whether these are the owner's own words, which may remove access. An agent's never do.
    """

    path: str
    value: Any
    owner: bool = field(default=False, compare=False)

    @classmethod
    def read(cls, data: object, *, owner: bool = False) -> Change:
        """Parse JSON data. Raises ChangeError for anything that an agent may not ask for.

        owner: the data was edited by the owner, who may also give a route a token or an end.
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
        """The data that `read` parses."""
        return {"path": self.path, "value": self.value}

    def check(self) -> None:
        """Raises ChangeError unless the manifest's model accepts the value on its own."""
        if self.path in GRANTS:
            if not is_digest(self.value):
                raise ChangeError(f"{self.path}: write the digest from the refusal (sha256:…)")
            return
        try:
            Manifest.model_validate(self.on({}))
        except ValidationError as error:
            raise ChangeError("; ".join(str(self._within(one)) for one in findings(error))) from None

    def _within(self, one: Finding) -> Finding:
        """A finding with its path relative to this change, because the agent knows no index."""
        path = one.path.replace(f"{self.path}[0]", "", 1).lstrip(".") if self.path in APPENDS else one.path
        return replace(one, path=path or self.path)

    @property
    def grants(self) -> str | None:
        """The sidecar that allows a content once; None for a change of the manifest."""
        return GRANTS.get(self.path)

    def ending(self, until: str) -> Change:
        """The same for a limited time. until: a UTC time. Raises ChangeError for a change that cannot expire."""
        if self.path not in ENDING:
            raise ChangeError("only routes and allowed hosts can have a limited time")
        value = dict(self.value) if isinstance(self.value, Mapping) else {"host": self.value}
        return self.with_value({**value, "until": until})

    def with_value(self, value: Any) -> Change:
        """The same with another value. Raises ChangeError."""
        change = replace(self, value=value)
        change.check()
        return change

    def on(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of the manifest with this change added.

        For a stack file see claude_bottle/approvals/edit/stack_file.py, which also adds the routes it would shadow.
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
        """What the agent would gain, in words."""
        if self.path == "egress.routes":
            route = self.value
            methods = ", ".join(route.get("methods") or ["every method"])
            token = ""  # not known yet for an agent's wish (claude_bottle/approvals/edit/route_edit.py)
            if "token_ref" in route:
                token = f", with your {route['token_ref']}" if route["token_ref"] else ", without a credential"
            paths = " or ".join(route.get("path") or ["every path"])
            # Keys that an agent may ask for come last.
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
