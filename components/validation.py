"""Turns what a stack file holds into a Manifest, or into the list of everything that is wrong with it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from addons.dlp_rules import RuleSet
from addons.hosts import any_match
from addons.injection import MIN_TOKEN_LENGTH
from addons.until import ended, parse_until
from components.agent_env import OWN_ENV
from components.copies import Copies, Reader
from components.errors import NOT_SHOWN, Finding, ManifestError
from components.git_remotes import GateRemote, RemoteReader
from components.legacy import LEGACY_KEYS, rewrite, rewrite_role
from components.manifest import EgressRoute, Manifest
from components.manifest_fields import ENV_NAME, RESERVED_ENV
from components.manifest_pipelock import DEFAULT_PASSTHROUGH, PipelockConfig
from components.manifest_secrets import secrets_in, token_names


@dataclass
class Examined:
    """What a stack file holds: the manifest if it is valid, the keys of it that are, what is copied, what is wrong."""

    manifest: Manifest | None
    readable: Manifest
    copies: Copies
    remotes: list[GateRemote]
    findings: list[Finding]


def examine(
    raw: object,
    find_token: Callable[[str], str | None],
    base: Path = Path(),
    secrets: Mapping[str, str] = MappingProxyType({}),
) -> Examined:
    """Everything that is wrong with the config object `raw`, and what it means as far as it can be read.

    find_token: value of a named secret, or None; it is asked whether it is there and plausible, and looked for in what
    is copied. base: the folder that relative file names start from. secrets: the stack's others, by name.
    """
    if not isinstance(raw, Mapping):
        wrong = Finding("claude-bottle:bottle", raw, "write a mapping; {} is a bottle without a way out")
        return Examined(None, Manifest(), Copies(), [], [wrong])
    findings = list(_legacy(raw))
    cleaned = _without_legacy(raw)
    try:
        manifest = readable = Manifest.model_validate(cleaned)
    except ValidationError as error:
        manifest = None
        findings += [_finding(dict(item)) for item in error.errors(include_url=False)]
        bad = {item["loc"][0] for item in error.errors() if item["loc"]}
        readable = Manifest.model_validate({key: value for key, value in cleaned.items() if key not in bad})
    routes = list(_readable_routes(cleaned))
    refs = token_names(raw)
    known = {**secrets, **{ref: token for ref in refs if (token := find_token(ref))}}
    clear = list(secrets_in(raw, known, readable.pipelock.dlp.disabled_rules))
    findings += _conflicts(routes)
    findings += _tokens(routes, find_token)
    findings += _env(cleaned.get("env"), refs)
    findings += _placeholders(routes, cleaned.get("env"))
    if readable.agent.dockerfile and not (base / readable.agent.dockerfile).is_file():
        findings.append(Finding("agent.dockerfile", readable.agent.dockerfile, "no such file beside the stack file"))
    if readable.pipelock != PipelockConfig():
        findings += _pipelock(readable.pipelock, [route.host for _, route in routes], base)
    gate = RemoteReader(base, find_token)
    remotes = gate.read(readable.git)
    # Of a private key, one line from its middle.
    keys = [lines[len(lines) // 2] for remote in remotes if (lines := remote.secret.splitlines())]
    reader = Reader(base, [s.encode() for s in (*known.values(), *keys) if len(s) >= MIN_TOKEN_LENGTH])
    copies = reader.read(readable)
    findings += reader.findings + gate.findings
    # Of what is a secret nothing else is said, because it would be shown.
    places = {finding.path for finding in clear}
    return Examined(manifest, readable, copies, remotes, clear + [f for f in findings if f.path not in places])


def load(raw: object, find_token: Callable[[str], str | None], base: Path = Path()) -> Manifest:
    """The manifest in `raw`. Raises ManifestError with every finding of the whole manifest."""
    found = examine(raw, find_token, base)
    if found.findings or found.manifest is None:
        raise ManifestError(found.findings)
    return found.manifest


def _legacy(raw: Mapping[str, Any]) -> Iterator[Finding]:
    for key in LEGACY_KEYS:
        if key in raw:
            yield Finding(key, NOT_SHOWN, f"is gone; write instead: {rewrite(key, raw[key])}")
    for index, route in enumerate(_raw_routes(raw)):
        if isinstance(route, Mapping) and "role" in route:
            yield Finding(f"egress.routes[{index}].role", route["role"], f"is gone; write: {rewrite_role(route)}")


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


def _finding(item: dict[str, Any]) -> Finding:
    path = ""
    for part in item["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f"{'.' if path else ''}{part}"
    secret = path.endswith("token_ref") or path.startswith("env")
    value = NOT_SHOWN if secret or item["type"] in ("missing", "extra_forbidden") else item.get("input")
    if isinstance(value, Mapping | list):
        value = NOT_SHOWN
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = f"unknown key{_accepted(item['loc'])}"
    return Finding(path or "claude-bottle:bottle", value, message)


def _accepted(loc: tuple[Any, ...]) -> str:
    """The keys that stand beside an unknown one."""
    model: Any = Manifest
    for part in loc[:-1]:
        if isinstance(part, int):
            continue
        field = model.model_fields[part].annotation
        model = next((a for a in getattr(field, "__args__", ()) if hasattr(a, "model_fields")), field)
    return f"; accepted here: {', '.join(model.model_fields)}"


def _conflicts(routes: list[tuple[int, EgressRoute]]) -> Iterator[Finding]:
    seen: dict[tuple[str, str, str], list[tuple[int, EgressRoute]]] = {}
    for index, route in routes:
        if route.until and ended(parse_until(route.until)):
            continue  # it lets nothing through any more
        claimed = [seen.setdefault((route.host, p, m), []) for p in route.path or ["/"] for m in route.methods]
        others = [claim for there in claimed for claim in there if claim[0] != index]
        for there in claimed:
            there.append((index, route))
        clash = next(((other, old) for other, old in others if not _adds_capabilities(old, route)), None)
        if clash is not None:
            other, old = clash
            path = next((p for p in route.path or ["/"] if p in (old.path or ["/"])), "/")
            message = f"conflicts with egress.routes[{other}]: same host, path {path} and method; keep one of them"
            yield Finding(f"egress.routes[{index}]", route.host, message)


def _adds_capabilities(one: EgressRoute, other: EgressRoute) -> bool:
    """Whether two routes of the same requests only name other capabilities, as one does that ends before the other."""
    alike = [
        (r.token_ref, r.scheme, sorted(r.allow_headers), r.allow_ranges, sorted(r.placeholder), r.own_credentials)
        for r in (one, other)
    ]
    return alike[0] == alike[1] and set(one.forge) != set(other.forge)


def _tokens(routes: list[tuple[int, EgressRoute]], find: Callable[[str], str | None]) -> Iterator[Finding]:
    for index, route in routes:
        if route.token_ref is None:
            continue
        path, token = f"egress.routes[{index}].token_ref", find(route.token_ref)
        if not token:
            how = f"pulumi config set --secret {route.token_ref}, or export {route.token_ref} in this shell"
            yield Finding(path, route.token_ref, f"no such secret; {how}")
        elif len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable():
            message = f"this secret is not a token: at least {MIN_TOKEN_LENGTH} printable ASCII characters, no line end"
            yield Finding(path, route.token_ref, message)


def _env(env: object, refs: Collection[str]) -> Iterator[Finding]:
    if not isinstance(env, Mapping) or not env:
        return
    for name in env:
        path = f"env.{name}"
        if not isinstance(name, str) or not ENV_NAME.match(name):
            yield Finding(path, NOT_SHOWN, "not the name of an environment variable")
        elif name.upper() in RESERVED_ENV:
            yield Finding(path, NOT_SHOWN, "is set by the bottle and cannot be changed")
        elif name in refs:
            yield Finding(path, NOT_SHOWN, "is the name of a secret that the agent must not have; name it otherwise")


def _placeholders(routes: list[tuple[int, EgressRoute]], env: object) -> Iterator[Finding]:
    for index, route in routes:
        for at, name in enumerate(route.placeholder):
            path = f"egress.routes[{index}].placeholder[{at}]"
            if name.upper() in OWN_ENV:
                yield Finding(path, name, "is set by the bottle and cannot be changed")
            elif isinstance(env, Mapping) and name in env:
                yield Finding(path, name, f"is in env too; take env.{name} out")


def _pipelock(config: PipelockConfig, route_hosts: list[str], base: Path) -> Iterator[Finding]:
    reachable = [*route_hosts, *(item.host for item in config.allow)]
    for index, host in enumerate(config.passthrough):
        if host not in DEFAULT_PASSTHROUGH and host not in reachable and not any_match(reachable, host):
            yield Finding(f"pipelock.passthrough[{index}]", host, "is neither a route's host nor in pipelock.allow")
    for index, name in enumerate(config.upstream_roots):
        file = base / name
        if not file.is_file() or "-----BEGIN CERTIFICATE-----" not in file.read_text(errors="replace"):
            yield Finding(f"pipelock.upstream_roots[{index}]", name, "not a readable PEM file with certificates")
    for index, name in enumerate(config.revocation_lists):
        file, path = base / name, f"pipelock.revocation_lists[{index}]"
        if config.engine == "upstream":
            yield Finding(path, name, "the upstream engine reads no revocation lists; use engine builtin")
        elif not file.is_file() or "-----BEGIN X509 CRL-----" not in file.read_text(errors="replace"):
            yield Finding(path, name, "not a readable PEM file with lists (openssl crl -inform der -in FILE)")
    try:
        rules = RuleSet(
            disabled=config.dlp.disabled_rules, extra=[(p.name, p.regex) for p in config.dlp.patterns], fast=False
        )
    except ValueError as error:
        yield Finding("pipelock.dlp", NOT_SHOWN, str(error))
        return
    for host, one in config.dlp.hosts.items():
        for rule in one.disabled_rules:
            if rule not in rules.ids:
                yield Finding(f"pipelock.dlp.hosts.{host}.disabled_rules", rule, "no such rule")
