"""Converts a file of the original command-line tool (JSON with `bottles` and `agents`) to stack files. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.rules.ruleset import RuleSet
from claude_bottle.dlp.text.readings import text_views
from claude_bottle.manifest.fields import RESERVED_ENV
from claude_bottle.manifest.legacy import ended, git_remote, routes
from claude_bottle.manifest.words import BOTTLE
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.routes.values import ENV_NAME

_HEAD = "# yaml-language-server: $schema=manifest.schema.json\n"
_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_CARRIED = {"env", "tokens", "cred_proxy", "egress_proxy", "egress", "git", "ssh", "supervise"}


def convert(old: object) -> dict[str, str]:
    """Stack name to the text of its stack file, one per agent, and one for each bottle without an agent.

    Comments name what could not be converted. Raises BottleError if `old` is not such a file.
    """
    if not isinstance(old, Mapping) or not isinstance(old.get("bottles"), Mapping):
        raise BottleError('not a file of the original tool: a JSON object with "bottles" and "agents" is expected')
    bottles: Mapping[str, Any] = old["bottles"]
    agents = old.get("agents") if isinstance(old.get("agents"), Mapping) else {}
    files: dict[str, str] = {}
    used = set()
    for name, agent in (agents or {}).items():
        bottle = str(agent.get("bottle")) if isinstance(agent, Mapping) else ""
        if bottle not in bottles:
            raise BottleError(f"agents.{name}.bottle: {bottle!r} is not among the bottles: {', '.join(bottles)}")
        used.add(bottle)
        files[_stack(name)] = _file(name, bottle, bottles[bottle], agent)
    for name in bottles:
        if name not in used:
            files[_stack(name)] = _file(name, name, bottles[name], {})
    return files


def _stack(name: str) -> str:
    return _NAME.sub("-", name).strip("-.") or "bottle"


def _file(name: str, bottle_name: str, bottle: object, agent: Mapping[str, Any]) -> str:
    bottle = bottle if isinstance(bottle, Mapping) else {}
    notes = [ended()] if ended() else []
    manifest: dict[str, Any] = {}
    env = _env(bottle.get("env"), notes)
    if env:
        manifest["env"] = env
    if isinstance(agent.get("prompt"), str) and agent["prompt"].strip():
        manifest["prompt"] = agent["prompt"]
    if isinstance(agent.get("skills"), list) and agent["skills"]:
        manifest["skills"] = [str(skill) for skill in agent["skills"]]
    ways = [route for key in ("tokens", "cred_proxy", "egress_proxy") for route in routes(bottle.get(key))]
    ways += _egress(bottle.get("egress"), notes)
    allowed = _allowlist(bottle.get("egress"))
    if ways:
        # With routes, the agent cannot reach a host that is only in the allowlist.
        ways += [{"host": host} for host in allowed if host not in [way["host"] for way in ways]]
    elif allowed:
        manifest["pipelock"] = {"allow": allowed}
    if ways:
        manifest["egress"] = {"routes": [route for index, route in enumerate(ways) if route not in ways[:index]]}
    remotes = [git_remote(e) for key in ("git", "ssh") for e in bottle.get(key) or [] if isinstance(e, Mapping)]
    if remotes:
        manifest["git"] = remotes
        unknown = [remote["name"] for remote in remotes if "known_hosts" not in remote]
        notes += [
            f"git {name}: paste the host keys under known_hosts; preview says how to get them" for name in unknown
        ]
    notes += [f"{key}: not known here, left out" for key in bottle if key not in _CARRIED]
    notes += [f"agent {key}: not known here, left out" for key in agent if key not in ("bottle", "prompt", "skills")]
    head = f"{_HEAD}# Converted from the bottle {bottle_name!r}, agent {name!r}.\n"
    notes += [
        f"fill in: {word}"
        for word in ("NAME-THE-HOST", "NAME_OF_THE_SECRET", "OWNER/REPOSITORY")
        if word in str(manifest)
    ]
    head += "".join(f"#   {note}\n" for note in notes)
    body = yaml.dump({"config": {BOTTLE: manifest}}, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
    return head + body


def _env(env: object, notes: list[str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    dlp = Dlp(RuleSet(fast=False))
    for name, value in env.items() if isinstance(env, Mapping) else ():
        if not isinstance(name, str) or not ENV_NAME.match(name) or name.upper() in RESERVED_ENV:
            notes.append(f"env.{name}: set by the bottle itself or not a variable's name, left out")
        elif not isinstance(value, str | int | float) or str(value).startswith(("?", "$")):
            notes.append(f"env.{name}: was asked for or taken from the shell; give credentials to a route's token_ref")
        elif dlp.look(text_views(f'{name}="{value}"'.encode())):
            notes.append(f"env.{name}: looks like a credential; give it to a route's token_ref")
        else:
            kept[name] = str(value)
    return kept


def _egress(egress: object, notes: list[str]) -> list[dict[str, Any]]:
    if not isinstance(egress, Mapping):
        return []
    if "dlp" in egress:
        notes.append("egress.dlp: the rules of pipelock.dlp replace it")
    return routes(egress["routes"]) if isinstance(egress.get("routes"), list) else []


def _allowlist(egress: object) -> list[str]:
    allow = (egress.get("allowlist") or egress.get("allow")) if isinstance(egress, Mapping) else None
    return [str(host) for host in allow] if isinstance(allow, list) else []


class _Dumper(yaml.SafeDumper):
    """Indents lists, and writes text of several lines as a block."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)
