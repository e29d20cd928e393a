"""Checks that the model alone cannot make: conflicting routes, secrets by name, files, DLP rules. They only read."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from claude_bottle.dlp.rules.ruleset import RuleSet, compile_pattern, rule_ids
from claude_bottle.manifest.agent_env import OWN_ENV
from claude_bottle.manifest.fields import IMAGES_ENV, RESERVED_ENV, is_token_name
from claude_bottle.manifest.pipelock_fields import DEFAULT_PASSTHROUGH, PipelockConfig
from claude_bottle.manifest.route_check import in_table
from claude_bottle.manifest.route_model import EgressRoute
from claude_bottle.policy.errors import NOT_SHOWN, Finding
from claude_bottle.policy.names.hosts import any_match
from claude_bottle.policy.names.nearest import did_you_mean
from claude_bottle.policy.own_command import own_command
from claude_bottle.policy.routes.aws_sigv4 import keys_of, scope_of
from claude_bottle.policy.routes.expiry import ended, parse_until
from claude_bottle.policy.routes.follow import READS
from claude_bottle.policy.routes.injection import MIN_TOKEN_LENGTH
from claude_bottle.policy.routes.route import KEYS
from claude_bottle.policy.routes.values import ENV_NAME
from claude_bottle.policy.shown_values import is_mixed

_SAY_WHERE = ("host", "path", "methods", "description", "until")  # keys of a route that do not say what it allows


def no_secret(name: str, stack: str, secrets: Collection[str]) -> str:
    """How to set a missing secret. stack: "" if it has no name. secrets: names of the stack's secrets."""
    stack = stack or "NAME"
    if is_mixed(name) and not is_token_name(name):
        name = "GITHUB_TOKEN"  # the reference may be the secret itself
    return (
        f"no such secret{did_you_mean(name, secrets).replace('?', ', else') or ';'}"
        f" {own_command(f'secret {stack} {name}')} asks for its value; or export {name} in this shell"
    )


def shown_name(ref: str) -> object:
    """The name of a secret for a message; hidden if it may be a value."""
    return NOT_SHOWN if is_mixed(ref) and not is_token_name(ref) else ref


def conflicts(routes: list[tuple[int, EgressRoute]]) -> Iterator[Finding]:
    """Routes that match the same requests."""
    seen: dict[tuple[str, str, str], list[tuple[int, EgressRoute]]] = {}
    for index, route in routes:
        if route.until and ended(parse_until(route.until)):
            continue  # it has expired
        claimed = [seen.setdefault((route.host, p, m), []) for p in route.path or ["/"] for m in route.methods]
        others = [claim for claims in claimed for claim in claims if claim[0] != index]
        for claims in claimed:
            claims.append((index, route))
        clash = next(((other, old) for other, old in others if not _adds_capabilities(old, route)), None)
        if clash is not None:
            other, old = clash
            path = next((p for p in route.path or ["/"] if p in (old.path or ["/"])), "/")
            message = f"conflicts with egress.routes[{other}]: same host, path {path} and method; keep one of them"
            yield Finding(f"egress.routes[{index}]", route.host, message)


def follows(routes: list[tuple[int, EgressRoute]], config: PipelockConfig) -> Iterator[Finding]:
    """Routes whose responses cannot be followed, because of other routes or settings."""
    for index, route in routes:
        if not route.follow:
            continue
        path = f"egress.routes[{index}].follow"
        for at, other in routes:
            # The responses of a host may name addresses that the agent has written there.
            if other.host == route.host and (other.token_ref or not set(other.methods) <= set(READS)):
                yield Finding(
                    path,
                    route.follow,
                    f"all routes of {route.host} must be for GET and HEAD and have no token_ref, but"
                    f" egress.routes[{at}] is not; remove follow here",
                )
                break
        if config.engine == "upstream":
            yield Finding(path, route.follow, "the upstream engine does not support follow; use engine builtin")
        if any_match(config.passthrough, route.host) or route.host in config.passthrough:
            yield Finding(path, route.follow, f"pipelock.passthrough lists {route.host}, so its answers cannot be read")


def _adds_capabilities(one: EgressRoute, other: EgressRoute) -> bool:
    """Whether two routes for the same requests differ only in capabilities or repositories, such as a temporary copy
    with more of them."""
    rules = vars(in_table(one)), vars(in_table(other))
    differ = [
        key for key in KEYS.values() if key.name not in _SAY_WHERE and rules[0][key.column] != rules[1][key.column]
    ]
    # Next to a route that allows any repository, a limit would have no effect.
    return bool(differ) and all(key.lends and None not in [rule[key.column] for rule in rules] for key in differ)


def tokens(
    routes: list[tuple[int, EgressRoute]], find: Callable[[str], str | None], stack: str, secrets: Collection[str]
) -> Iterator[Finding]:
    """Secrets that a route names but that are missing or cannot be a token."""
    for index, route in routes:
        if route.token_ref is None:
            continue
        path, token = f"egress.routes[{index}].token_ref", find(route.token_ref)
        if not token:
            yield Finding(path, shown_name(route.token_ref), no_secret(route.token_ref, stack, secrets))
        elif len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable():
            message = f"this secret is not a token: at least {MIN_TOKEN_LENGTH} printable ASCII characters, no line end"
            yield Finding(path, shown_name(route.token_ref), message)
        elif scope_of(route.auth_scheme) is not None and keys_of(token) is None:
            message = "this secret is not a pair of AWS keys; write ACCESS_KEY_ID:SECRET_ACCESS_KEY, with few rights"
            yield Finding(path, shown_name(route.token_ref), message)


def proxy_login(
    config: PipelockConfig, find: Callable[[str], str | None], stack: str, secrets: Collection[str]
) -> Iterator[Finding]:
    """A login for a forward proxy that is missing or invalid."""
    ref, path = config.upstream_proxy_ref, "pipelock.upstream_proxy_ref"
    if ref is None:
        return
    login = find(ref)
    if not login:
        yield Finding(path, shown_name(ref), no_secret(ref, stack, secrets))
    elif not re.fullmatch(r"[!-9;-~]+:[!-~]+", login):
        yield Finding(
            path,
            shown_name(ref),
            "this secret is not a login; write user:password in printable ASCII, without blanks and line ends",
        )


def environment(env: object, refs: Collection[str]) -> Iterator[Finding]:
    """Names that env must not set. refs: names of secrets."""
    if not isinstance(env, Mapping):
        return
    for name in env:
        path = f"env.{name}"
        if not isinstance(name, str) or not ENV_NAME.match(name):
            yield Finding(path, NOT_SHOWN, "not the name of an environment variable; write letters, digits and `_`")
        elif name.upper() in RESERVED_ENV:
            yield Finding(path, NOT_SHOWN, "is set by the bottle and cannot be changed; remove it")
        elif name.upper() in IMAGES_ENV:
            yield Finding(path, NOT_SHOWN, f"is set by the agent's image; {IMAGES_ENV[name.upper()]}")
        elif name in refs:
            yield Finding(path, NOT_SHOWN, "is the name of a secret that the agent must not have; choose another name")


def placeholders(routes: list[tuple[int, EgressRoute]], env: object) -> Iterator[Finding]:
    """Names of placeholders that are used for something else."""
    for index, route in routes:
        for at, name in enumerate(route.placeholder):
            path = f"egress.routes[{index}].placeholder[{at}]"
            if name.upper() in OWN_ENV:
                yield Finding(path, name, "is set by the bottle and cannot be changed; remove it")
            elif isinstance(env, Mapping) and name in env:
                yield Finding(path, name, f"is also in env; remove env.{name}")


def pipelock(config: PipelockConfig, reachable: list[str] | None, base: Path) -> Iterator[Finding]:
    """Problems of the pipelock section. reachable: hosts of routes and pipelock.allow; None if not all are readable."""
    neither = "neither a route's host nor in pipelock.allow"
    for index, host in enumerate(config.passthrough):
        if reachable is None or host in DEFAULT_PASSTHROUGH or host in reachable or any_match(reachable, host):
            continue
        yield Finding(f"pipelock.passthrough[{index}]", host, f"is {neither}; add it to one of them, or remove it here")
    for index, name in enumerate(config.ca_files):
        file = base / name
        if not file.is_file() or "-----BEGIN CERTIFICATE-----" not in file.read_text(errors="replace"):
            yield Finding(f"pipelock.ca_files[{index}]", name, "not a readable PEM file with certificates")
    for index, name in enumerate(config.crl_files):
        file, path = base / name, f"pipelock.crl_files[{index}]"
        if config.engine == "upstream":
            yield Finding(path, name, "the upstream engine reads no revocation lists; use engine builtin")
        elif not file.is_file() or "-----BEGIN X509 CRL-----" not in file.read_text(errors="replace"):
            yield Finding(path, name, "not a readable PEM file with CRLs (openssl crl -inform der -in FILE)")
    yield from _dlp(config)


def _dlp(config: PipelockConfig) -> Iterator[Finding]:
    off = {"pipelock.dlp.disabled_rules": config.dlp.disabled_rules}
    off |= {f"pipelock.dlp.hosts.{host}.disabled_rules": one.disabled_rules for host, one in config.dlp.hosts.items()}
    wrong = False
    for path, names in off.items():
        for index, name in enumerate(names):
            if name not in rule_ids():
                wrong = True
                how = did_you_mean(name, rule_ids()) or "; write the id from a refusal (generic-api-key)"
                yield Finding(f"{path}[{index}]", name, f"no such rule{how}")
    for index, pattern in enumerate(config.dlp.patterns):
        try:
            compile_pattern(pattern.regex)
        except ValueError as error:
            wrong = True
            yield Finding(
                f"pipelock.dlp.patterns[{index}].regex",
                NOT_SHOWN,
                f"{error}; write it in RE2's syntax",
            )
    if wrong or not config.dlp.patterns:
        return
    try:
        RuleSet(extra=[(one.name, one.regex) for one in config.dlp.patterns], fast=False)
    except ValueError as error:
        yield Finding("pipelock.dlp.patterns", NOT_SHOWN, str(error))
