"""Expands `use` of a manifest to routes, packages and variables, as if written by hand. Pure.

The owner's own entries take precedence: a host with a route of the owner's gets none from a preset, a variable keeps
its value, and a package its version. No later stage knows of presets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from claude_bottle.manifest.model import Use, UseEntry
from claude_bottle.policy.errors import NOT_SHOWN, Finding
from claude_bottle.policy.names.hosts import canonical_pattern, host_matches
from claude_bottle.policy.routes.follow import READS
from claude_bottle.presets.answers import NoAnswer, Told, place
from claude_bottle.presets.files import Preset, preset

_ENTRY: TypeAdapter[Use] = TypeAdapter(UseEntry)


def written_out(raw: object, ask: Callable[[str], Told]) -> tuple[object, list[Finding]]:
    """The manifest without `use`, and all problems. If `use` is not valid, the manifest is unchanged.

    ask: returns the answer of a client on the owner's machine, or raises NoAnswer.
    """
    if not isinstance(raw, Mapping) or not isinstance(raw.get("use"), list):
        return raw, []
    manifest = {key: value for key, value in raw.items() if key != "use"}
    findings: list[Finding] = []
    for index, item in enumerate(raw["use"]):
        try:
            used = _ENTRY.validate_python(item)
        except ValidationError:
            return raw, findings  # the model reports the error
        try:
            manifest = _with(manifest, raw, used, preset(used.name), ask)
        except NoAnswer as error:
            findings.append(Finding(f"use[{index}]", NOT_SHOWN, f"{error}; {_instead(used.name)}"))
    return manifest, findings


def _instead(name: str) -> str:
    return f"name the hosts: use: [{{name: {name}, hosts: [packages.example.com]}}]"


def _with(
    manifest: dict[str, Any], owner: Mapping[str, Any], used: Use, one: Preset, ask: Callable[[str], Told]
) -> dict[str, Any]:
    answer = ask(one.ask) if one.ask and not used.hosts else Told([])
    places = [(*place(str(one.ask), url, one.signed), one.follow) for url in answer.urls]
    places += [(host, above, one.follow and "redirects") for host, path, _ in places for above in _above(path, one)]
    places += [(host, "", one.follow) for host in used.hosts or one.hosts]
    agent, env, egress = (_mapping(manifest.get(key)) for key in ("agent", "env", "egress"))
    if agent is None or env is None or egress is None:
        return manifest  # not valid, which is reported elsewhere
    if not agent.keys() & {"image", "dockerfile"}:  # an image of the owner's own has its own packages
        for key, packages in (("apt", one.apt), ("npm", one.npm)):
            listed = agent.get(key, [])
            if packages and isinstance(listed, list):
                agent[key] = [*listed, *(name for name in packages if name not in {_bare(item) for item in listed})]
    for name, value in one.env.items():
        for word, said in answer.values.items():
            value = value.replace(f"{{{word}}}", said)
        if "{" not in value:
            env.setdefault(name, value)
    routes = egress.get("routes", [])
    if isinstance(routes, list):
        own = list(_hosts(owner))
        claims = {
            (route["host"], *route.get("path", [])) for route in routes if isinstance(route, dict) and route.get("host")
        }
        for host, path, follow in places:
            claim = (host, *filter(None, [path]))
            if not any(host_matches(pattern, host) for pattern in own) and claim not in claims:
                claims.add(claim)
                routes = [*routes, _route(host, path, one.description, follow)]
        egress["routes"] = routes
    return {**manifest, **{key: value for key, value in (("agent", agent), ("env", env), ("egress", egress)) if value}}


def _above(path: str, one: Preset) -> list[str]:
    """The prefix for files next to an index, if there are some."""
    return [path.removesuffix(f"/{last}") for last in one.beside if path.endswith(f"/{last}")]


def _route(host: str, path: str, description: str, follow: str | None) -> dict[str, Any]:
    route: dict[str, Any] = {"host": host, "methods": list(READS), "description": description}
    return {**route, **({"path": [path]} if path else {}), **({"follow": follow} if follow else {})}


def _mapping(value: object) -> dict[str, Any] | None:
    if value is None:
        return {}
    return dict(value) if isinstance(value, Mapping) else None


def _bare(package: object) -> str:
    """The name of a package without its version."""
    return re.split("=|(?<=.)@", str(package))[0]


def _hosts(manifest: Mapping[str, Any]) -> Iterator[str]:
    """The hosts of the owner's valid routes."""
    routes = (_mapping(manifest.get("egress")) or {}).get("routes")
    for route in routes if isinstance(routes, list) else []:
        try:
            yield canonical_pattern(str(route["host"]))
        except (TypeError, KeyError, ValueError):
            continue
