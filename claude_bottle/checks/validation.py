"""Parses a stack file's bottle into a Manifest, or into the list of all its errors. Reads files and changes none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from claude_bottle.host.git_remotes import GateRemote, RemoteReader
from claude_bottle.manifest import checks
from claude_bottle.manifest.legacy import LEGACY_KEYS, rewrite, rewrite_role
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.pipelock_fields import PipelockConfig
from claude_bottle.manifest.readable import Readable
from claude_bottle.manifest.renamed import Translated
from claude_bottle.manifest.route_model import EgressRoute
from claude_bottle.manifest.secrets_in_clear import secrets_in, token_names
from claude_bottle.manifest.words import BOTTLE
from claude_bottle.policy.errors import NOT_SHOWN, Finding
from claude_bottle.policy.own_command import own_command
from claude_bottle.policy.routes.injection import MIN_TOKEN_LENGTH
from claude_bottle.workspace.copies import Copies, Reader


@dataclass
class Examined:
    """The result: the manifest if it is valid, its readable keys, the files to copy, and all errors."""

    manifest: Manifest | None
    readable: Manifest
    copies: Copies
    remotes: list[GateRemote]
    findings: list[Finding]
    names: Translated  # the keys' names in the file


def examine(
    raw: object,
    find_secret: Callable[[str], str | None],
    base: Path = Path(),
    secrets: Mapping[str, str] = MappingProxyType({}),
    stack: str = "",
) -> Examined:
    """All errors of the config object `raw`, and its content as far as it can be read.

    find_secret: value of a named secret, or None. The value is checked for plausibility, and copied files are scanned
    for it. base: the folder of relative file names. secrets: all other secrets of the stack, by name. stack: its name.
    """
    if not isinstance(raw, Mapping):
        what = "is missing or empty; " if raw in (None, "") else ""  # Pulumi turns an empty value into ""
        how = "write a mapping: {egress: {routes: [{host: api.example.com}]}}; {} is a bottle with no outside access"
        wrong = Finding(BOTTLE, NOT_SHOWN, what + how)
        return Examined(None, Manifest(), Copies(), [], [wrong], Translated({}))
    names = Translated(raw)
    findings = [*_legacy(raw), *names.findings]
    cleaned = _without_legacy(names.manifest)
    parts = Readable(cleaned)
    readable = parts.manifest
    # The field validators do not know the stack's name.
    findings += [replace(one, message=_of_stack(one.message, stack)) for one in parts.findings]
    routes = list(_readable_routes(cleaned))
    refs = token_names(raw)
    known = {**secrets, **{ref: token for ref in refs if (token := find_secret(ref))}}
    clear = list(secrets_in(raw, known, readable.pipelock.dlp.disabled_rules))
    findings += checks.conflicts(routes)
    findings += checks.follows(routes, readable.pipelock)
    findings += checks.tokens(routes, find_secret, stack, secrets)
    findings += checks.proxy_login(readable.pipelock, find_secret, stack, secrets)
    findings += checks.environment(cleaned.get("env"), refs)
    findings += checks.placeholders(routes, cleaned.get("env"))
    if readable.agent.dockerfile and not (base / readable.agent.dockerfile).is_file():
        absent = f"no such file: {base / readable.agent.dockerfile}; a path is relative to the folder of the stack file"
        findings.append(Finding("agent.dockerfile", readable.agent.dockerfile, absent))
    more: list[Finding] = []
    if readable.pipelock != PipelockConfig():
        hosts = [*(route.host for _, route in routes), *(item.host for item in readable.pipelock.allow)]
        unsure = parts.blames("egress.routes") or parts.blames("pipelock.allow")
        more += checks.pipelock(readable.pipelock, None if unsure else hosts, base)
    gate = RemoteReader(base, find_secret, stack=stack, secrets=secrets)
    remotes = gate.read(readable.git)
    # Scan for one line from the middle of each private key.
    keys = [lines[len(lines) // 2] for remote in remotes if (lines := remote.secret.splitlines())]
    reader = Reader(base, [s.encode() for s in (*known.values(), *keys) if len(s) >= MIN_TOKEN_LENGTH])
    copies = reader.read(readable)
    more += reader.findings + gate.findings
    findings += [one for one in map(parts.original, more) if not parts.blames(one.path)]
    findings = [names.as_written(one) for one in findings]
    # Other findings about a secret are dropped, because they would show it.
    places = {finding.path for finding in clear}
    findings = clear + [f for f in findings if f.path not in places]
    manifest = readable if parts.is_whole and not names.findings else None
    return Examined(manifest, readable, copies, remotes, findings, names)


def _of_stack(message: str, stack: str) -> str:
    return message.replace("bottle secret NAME GITHUB_TOKEN", own_command(f"secret {stack or 'NAME'} GITHUB_TOKEN"))


def _legacy(raw: Mapping[str, Any]) -> Iterator[Finding]:
    for key in LEGACY_KEYS:
        if key in raw:
            yield Finding(key, NOT_SHOWN, f"is no longer supported; write instead: {rewrite(key, raw[key])}")
    for index, route in enumerate(_raw_routes(raw)):
        if isinstance(route, Mapping) and "role" in route:
            yield Finding(
                f"egress.routes[{index}].role", NOT_SHOWN, f"is no longer supported; write: {rewrite_role(route)}"
            )


def _without_legacy(raw: Mapping[str, Any]) -> dict[str, Any]:
    cleaned = {key: value for key, value in raw.items() if key not in LEGACY_KEYS}
    if any(isinstance(route, Mapping) and "role" in route for route in _raw_routes(raw)):
        routes = [
            {k: v for k, v in r.items() if k != "role"} if isinstance(r, Mapping) else r for r in _raw_routes(raw)
        ]
        cleaned["egress"] = {**raw["egress"], "routes": routes}
    return cleaned


def _raw_routes(raw: Mapping[str, Any]) -> list[Any]:
    egress = raw.get("egress")
    routes = egress.get("routes") if isinstance(egress, Mapping) else None
    return routes if isinstance(routes, list) else []


def _readable_routes(raw: Mapping[str, Any]) -> Iterator[tuple[int, EgressRoute]]:
    for index, route in enumerate(_raw_routes(raw)):
        try:
            yield index, EgressRoute.model_validate(route)
        except ValidationError:
            continue
