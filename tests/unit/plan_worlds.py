"""For the fuzzer of the plan: random manifests, and what a bottle of one really does, by what its sidecars get.

Nothing here uses what makes the plan, its table or its diff: the decisions are those of the sidecars' own modules, over
the files that they get, for requests and pushes at all that a pair of manifests declares and at its borders.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

from addons.frame.request import Request
from addons.pipelock.core import Policy
from claude_bottle.checks.validation import examine
from claude_bottle.host.git_remotes import GateRemote, remotes_file, upstream_of
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.pipelock import render
from claude_bottle.manifest.render.routes import RouteTableFile
from claude_bottle.policy.declared import push_policy
from claude_bottle.policy.forge.capabilities import CAPABILITIES
from claude_bottle.policy.forge.graphql.ids import KnownIds, OutsideError
from claude_bottle.policy.forge.graphql.request import read_queries
from claude_bottle.policy.forge.graphql.scope import Scope
from claude_bottle.policy.names.hosts import host_matches
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.expiry import parse_until
from claude_bottle.policy.routes.paths import by_path
from claude_bottle.policy.routes.table import Route, RouteTable, carried
from claude_bottle.policy.routes.targets import is_git_push_request
from sidecar_images.git_gate.push_policy import Command, refusals
from sidecar_images.git_gate.remotes import Remote

NOW = 1_800_000_000.0
PAST, LATER, LATEST = "2026-01-31T12:00:00Z", "2998-01-01T00:00:00Z", "2999-01-01T00:00:00Z"
EXACT = ["a.example.com", "b.a.example.com", "c.example.com", "api.github.com", "api.anthropic.com"]
WILD = ["*.example.com", "*.a.example.com", "*.b.a.example.com"]
PATHS = [
    "/",
    "/x",
    "/X",
    "/x/",
    "/x/y",
    "/x/Y/z",
    "/x/a%2Fb",
    "/x/a%2Fb/z",
    "/xy",
    "/repos/o/r",
    "/repos/o/r/pulls/1/merge",
    "/p.git/git-receive-pack",
    "/graphql",
]
GRAPHQL = ["/graphql", "/x/graphql"]
REPOSITORIES = ["o/r", "O/R", "o/s"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]
GLOBS = ["*", "main", "agent/*", "agent/x*", "a?c", "[ab]*", "refs/*", "refs/tags/v*", "refs/heads/agent/*", "*/x"]
OPTIONS = ["ci.skip", "topic=*", "topic=a", "to=*", "t=*"]
FILES = {"one.pem": "ONE", "two.pem": "TWO", "other.pem": "OTHER"}
HEX = "a" * 40, "b" * 40
TOKENS = "a-secret-value-0123456789"
Draw = random.Random


def some(draw: Draw, items: list[Any], most: int = 2) -> list[Any]:
    return draw.sample(items, draw.randint(0, min(most, len(items))))


def maybe(draw: Draw, fields: dict[str, Any], key: str, value: Any, chance: float = 0.3) -> None:
    if draw.random() < chance:
        fields[key] = value


def a_route(draw: Draw) -> dict[str, Any]:
    route: dict[str, Any] = {"host": draw.choice([*EXACT, *EXACT, *WILD])}
    maybe(draw, route, "path", some(draw, PATHS), 0.7)
    maybe(draw, route, "methods", some(draw, METHODS, 4) or ["GET"], 0.7)
    if not route["host"].startswith("*.") and draw.random() < 0.5:
        route["token_ref"] = draw.choice(["READ_TOKEN", "ADMIN_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"])
        maybe(draw, route, "auth_scheme", draw.choice(["bearer", "basic", "header:X-Key", "aws-sigv4:eu-west-1/s3"]))
        maybe(draw, route, "placeholder", some(draw, ["GH_TOKEN", "KEY"]))
    maybe(draw, route, "own_credentials", "pass", 0.15)
    maybe(draw, route, "until", draw.choice([PAST, LATER, LATEST]))
    maybe(draw, route, "allow_headers", [draw.choice(["x-http-method-override", "x-forwarded-for"])], 0.2)
    maybe(draw, route, "allow_ranges", True, 0.15)
    maybe(draw, route, "forge", some(draw, ["merge", "code", "keys"]), 0.2)
    maybe(draw, route, "description", draw.choice(["one", "two"]), 0.2)
    if draw.random() < 0.15:
        route["path"] = some(draw, GRAPHQL, 2) or GRAPHQL[:1]
        route["repositories"] = some(draw, REPOSITORIES) or REPOSITORIES[:1]
    if draw.random() < 0.25:
        route["methods"] = some(draw, ["GET", "HEAD"]) or ["GET"]
        route["follow"] = draw.choice([True, "links", "redirects", "redirects", False])
        for key in ("token_ref", "auth_scheme", "placeholder"):
            route.pop(key, None)
    return route


def a_remote(draw: Draw) -> dict[str, Any]:
    name = draw.choice(["p", "q"])
    remote: dict[str, Any] = {"name": name, "upstream": f"ssh://git@git.example.com/{draw.choice('ab')}/p.git"}
    remote |= {
        "identity_file": draw.choice(["one.key", "two.key"]),
        "known_hosts": f"git.example.com ssh-ed25519 {draw.choice('AB')}",
    }
    if draw.random() < 0.3:
        remote = {"name": name, "upstream": f"https://git.example.com/{draw.choice('ab')}/p.git"}
        remote["token_ref"] = draw.choice(["ONE", "TWO"])
        maybe(draw, remote, "token_user", draw.choice(["me", "you"]))
    maybe(draw, remote, "branches", some(draw, GLOBS, 3) or ["main"], 0.8)
    for key in ("allow_force_push", "allow_deletions"):
        maybe(draw, remote, key, True)
    maybe(draw, remote, "max_push_mb", draw.choice([10, 100, 200]))
    maybe(draw, remote, "max_file_mb", draw.choice([10, 20]))
    maybe(draw, remote, "push_options", some(draw, OPTIONS))
    maybe(draw, remote, "known_findings", some(draw, [letter * 32 for letter in "abc"]))
    maybe(draw, remote, "allow_fsck", some(draw, ["zeroPaddedFilemode", "missingEmail", "badDate"]))
    maybe(draw, remote, "require_review", True)
    maybe(draw, remote, "gitleaks_config", draw.choice(["one.toml", "two.toml"]))
    return remote


def a_pipelock(draw: Draw) -> dict[str, Any]:
    config: dict[str, Any] = {}
    allowed = [
        {"host": host, "until": draw.choice([PAST, LATER])} if draw.random() < 0.3 else host
        for host in some(draw, EXACT + WILD, 3)
    ]
    maybe(draw, config, "allow", allowed, 0.8)
    maybe(draw, config, "passthrough", some(draw, EXACT + WILD), 0.5)
    maybe(draw, config, "allow_private_addresses", some(draw, EXACT + WILD))
    maybe(draw, config, "internal_exempt", some(draw, ["198.18.0.0/15", "198.18.0.0/16", "10.0.0.0/8", "fc00::/18"]))
    if draw.random() < 0.2:
        config["upstream_proxy"] = draw.choice(["http://proxy.example.com:3128", "http://192.0.2.7:8080"])
        maybe(draw, config, "upstream_proxy_ref", draw.choice(["TOKEN_A", "TOKEN_B"]))
    maybe(draw, config, "ca_files", some(draw, list(FILES)))
    maybe(draw, config, "crl_files", some(draw, list(FILES)))
    dlp: dict[str, Any] = {}
    maybe(draw, dlp, "patterns", [{"name": draw.choice("mn"), "regex": draw.choice(["tkt_[a-z]{8}", "tkt_[a-z]{80}"])}])
    maybe(draw, dlp, "disabled_rules", some(draw, ["generic-api-key", "aws-access-token"]))
    off = {host: {"disabled_rules": some(draw, ["jwt", "aws-access-token"])} for host in some(draw, EXACT + WILD, 2)}
    for one in off.values():
        maybe(draw, one, "on_match", draw.choice(["block", "redact", "ask"]))
    maybe(draw, dlp, "hosts", off)
    maybe(draw, dlp, "packs", some(draw, ["crypto", "payment", "placeholders"]))
    maybe(draw, dlp, "seed_phrases", False)
    maybe(draw, dlp, "max_body_mb", draw.choice([1, 20, 256]))
    maybe(draw, config, "dlp", dlp, 0.5)
    maybe(draw, config, "inbound", draw.choice(["warn", "block"]))
    if draw.random() < 0.15:
        config |= {
            "engine": "upstream",
            "image": "pipelock@sha256:" + "a" * 64,
            "allow": [one for one in allowed if isinstance(one, str)],
        }
        config.pop("crl_files", None)
        config.get("dlp", {}).pop("packs", None)
        config.get("dlp", {}).pop("hosts", None)
        config.pop("inbound", None)
        for key in ("internal_exempt", "upstream_proxy", "upstream_proxy_ref"):
            config.pop(key, None)
    return config


def an_agent(draw: Draw) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for key, values in (
        ("memory", ["2g", "512m"]), ("cpus", [0.5, 4.0]), ("runtime", ["runsc", "kata"]), ("apt", [["jq"], ["make", "jq"]]),
        ("npm", [["typescript"]]), ("command", [["sleep", "1"], ["sleep", "2"]]), ("image", ["own:1", "own:2"]),
    ):  # fmt: skip
        maybe(draw, config, key, draw.choice(values), 0.2)
    return config


def a_network(draw: Draw) -> dict[str, Any]:
    config: dict[str, Any] = {}
    maybe(draw, config, "external", draw.choice(["one", "two"]), 0.8)
    maybe(draw, config, "pool", draw.choice(["10.213.0.0/16", "172.28.0.0/16"]))
    return config


PARTS = {
    "egress": lambda draw: {"routes": [a_route(draw) for _ in range(draw.randint(0, 4))]},
    "pipelock": a_pipelock,
    "agent": an_agent,
    "git": lambda draw: [a_remote(draw) for _ in range(draw.randint(0, 2))],
    "env": lambda draw: dict.fromkeys(some(draw, ["A", "B"]), draw.choice("xy")),
    "network": a_network,
    "supervise": lambda draw: draw.random() < 0.5,
}  # fmt: skip


def a_manifest(draw: Draw) -> dict[str, Any]:
    manifest: dict[str, Any] = {}
    for key, make in PARTS.items():
        maybe(draw, manifest, key, make(draw), {"egress": 0.8, "pipelock": 0.8}.get(key, 0.3))
    return manifest


def mutated(draw: Draw, raw: dict[str, Any]) -> dict[str, Any]:
    """A manifest near to another."""
    mutant = copy.deepcopy(raw)
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        routes, remotes, pipelock = (
            (mutant.get("egress") or {}).get("routes", []),
            mutant.get("git", []),
            mutant.get("pipelock", {}),
        )
        way = draw.randrange(9)
        if way == 0 and routes:
            routes.pop(draw.randrange(len(routes)))
        elif way == 1 and routes is not None and "egress" in mutant:
            routes.append(a_route(draw))
        elif way in (2, 3) and routes:
            route, other = draw.choice(routes), a_route(draw)
            key = draw.choice(
                [
                    "path",
                    "methods",
                    "token_ref",
                    "auth_scheme",
                    "placeholder",
                    "own_credentials",
                    "until",
                    "allow_headers",
                    "allow_ranges",
                    "forge",
                    "repositories",
                    "follow",
                    "host",
                ]
            )
            route.pop(key, None) if key != "host" else None
            if key in other:
                route[key] = other[key]
        elif way == 4 and len(routes) > 1:
            one, two = draw.sample(routes, 2)
            one["token_ref"], two["token_ref"] = two.get("token_ref"), one.get("token_ref")
        elif way == 5 and pipelock:
            key, other = draw.choice(list(pipelock)), a_pipelock(draw)
            pipelock.pop(key)
            if key in other:
                pipelock[key] = other[key]
        elif way == 6 and remotes:
            remote, other = draw.choice(remotes), a_remote(draw)
            key = draw.choice(list(other))
            remote[key] = other[key]
        elif way == 7 and routes:
            draw.shuffle(routes)
        else:
            key = draw.choice(list(PARTS))
            mutant.pop(key, None)
            maybe(draw, mutant, key, PARTS[key](draw), 0.7)
    return mutant


def accepted(raw: dict[str, Any]) -> Manifest | None:
    """The manifest, where validation has nothing against it but for files that are not there."""
    # Files, patterns and literals are other tests'; to read all rules for them takes long.
    aside = ("ca_files", "crl_files", "dlp")
    pipelock = {key: value for key, value in raw.get("pipelock", {}).items() if key not in aside}
    without = {key: value for key, value in raw.items() if key not in ("git", "env", "pipelock")}
    names = [(remote["name"], remote["upstream"]) for remote in raw.get("git", [])]
    if any(len({name[at] for name in names}) < len(names) for at in (0, 1)):
        return None
    # As the reader of remotes says: a key goes with ssh, a token with https.
    if any(remote["upstream"].startswith("https:") != bool(remote.get("token_ref")) for remote in raw.get("git", [])):
        return None
    if any(remote["upstream"].startswith("ssh:") and remote.get("token_user") for remote in raw.get("git", [])):
        return None
    with (
        patch("claude_bottle.manifest.checks.RuleSet"),
        patch("claude_bottle.checks.validation.secrets_in", lambda *_: ()),
    ):
        examined = examine({**without, "pipelock": pipelock} if pipelock else without, lambda _: TOKENS)
    if examined.findings or examined.manifest is None:
        return None
    return Manifest.model_validate(raw)


def remotes_of(manifest: Manifest) -> list[GateRemote]:
    return [
        GateRemote(
            config,
            upstream_of(config),
            "secret",
            f"rules of {config.gitleaks_config}" if config.gitleaks_config else "",
        )
        for config in manifest.git
    ]


@dataclass(frozen=True)
class Asked:
    host: str
    path: str
    method: str
    at: float


def _unordered(entry: dict[str, Any]) -> dict[str, Any]:
    """The policy of a remote. Of its lists the gate asks only what is in them."""
    policy = push_policy.read(entry)
    return {name: tuple(sorted(value)) if isinstance(value, tuple) else value for name, value in policy.items()}


@dataclass
class World:
    """One bottle, by what its sidecars get."""

    manifest: Manifest
    table: RouteTable = field(init=False)
    policy: Policy = field(init=False)
    refs: dict[str, str] = field(init=False)
    gate: dict[str, Remote] = field(init=False)
    _hosts: dict[tuple[str, float], frozenset[tuple[str, ...]] | None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        plan = RouteTableFile.of(self.manifest)
        self.table, self.policy = RouteTable.parse(plan.table.encode()), Policy.parse(render(self.manifest).encode())
        self.refs = {slot: ref for ref, slot in plan.slots.items()}
        remotes = json.loads(remotes_file(remotes_of(self.manifest)))["remotes"]
        self.gate = {entry["upstream"]: Remote(**{**entry, **_unordered(entry)}) for entry in remotes}

    def facts(self, asked: Asked, headers: set[str]) -> frozenset[tuple[str, ...]]:
        """What becomes of a request at this time (`at_time`); empty where it is refused."""
        key = asked.host, asked.at
        if key not in self._hosts:
            self._hosts[key] = self.of_host(asked.host)
        of_host = self._hosts[key]
        if of_host is None or (not self.manifest.routed and self._push(asked)):
            return frozenset()
        if not self.manifest.routed and is_git_push_request(asked.path):
            return frozenset([("push",)])
        if not self.manifest.routed:
            facts: set[tuple[str, ...]] = {("pass", ""), ("free",), ("ranges",), ("disguise",), ("brings",)}
            facts |= {("graphql", name) for name in ("o/r", "o/s", "o/t")}
            return of_host | facts | {("header", name) for name in headers} | {("forge", one) for one in CAPABILITIES}
        verdict = self.table.decide(scheme="https", host=asked.host, port=443, method=asked.method, path=asked.path)
        if not isinstance(verdict, Route):
            return frozenset()
        facts = {("pass", f"{verdict.auth_scheme} {self.refs[verdict.slot]}" if verdict.slot else "")}
        facts |= {("header", name) for name in verdict.allow_headers} | {("forge", one) for one in verdict.forge}
        facts |= {("ranges",)} if verdict.allow_ranges else set()
        facts |= {("brings",)} if verdict.own_credentials else set()
        facts |= {("graphql", name) for name in ("o/r", "o/s", "o/t") if asks(verdict, name)}
        # Both proxies note for themselves what may be followed.
        kinds = {verdict.follow, self._heard_by_pipelock(asked)}
        if "" not in kinds:
            facts |= {("follow", "redirects")} | ({("follow", "links")} if kinds == {"links"} else set())
        facts |= {("disguise",)} if set(verdict.methods) >= {"PUT", "PATCH", "DELETE"} else set()
        return of_host | facts

    def _heard_by_pipelock(self, asked: Asked) -> str:
        heard = self.policy.followed_by(Request("https", asked.host, 443, asked.method, asked.path))
        return heard.follow if heard is not None else ""

    def may(self, asked: Asked, capability: str) -> bool:
        """Whether calls that need a capability pass at this place, where others may be refused: it tells routes apart."""
        routes = self.table.candidates(asked.host)
        readings = by_path(routes, asked.path) if routes and self.manifest.routed else None
        if readings is None or isinstance(readings, Refusal):
            return False
        verdict = carried(readings, "https", asked.host, asked.method, frozenset([capability]))
        return isinstance(verdict, Route) and capability in verdict.forge

    def of_host(self, host: str) -> frozenset[tuple[str, ...]] | None:
        """What is so of all that goes to a host at this time; None where pipelock lets nothing through."""
        if self.policy.refuse_target("https", host, 443):
            return None
        facts: set[tuple[str, ...]] = set()
        if not (self.manifest.routed and self.table.injected_headers(host)):
            facts.add(("own",))
        if self.policy.passes_through(host):
            facts.add(("unread",))
        if self.policy.refuse_addresses(host, ["127.0.0.1"]) is None:
            facts.add(("internal",))
        return frozenset(facts)

    def all_of(self, host: str) -> object:
        """All that has a say in what goes to a host."""
        routes = [replace(r, slot=self.refs.get(r.slot or ""), description="") for r in self.routes(host)]
        until = [self.policy.until.get(one) for one in self.policy.allowlist if host_matches(one, host)]
        return routes, until, self.of_host(host), self.manifest.routed, self.manifest.pipelock.engine

    def routes(self, host: str) -> list[Route]:
        return [route for route in self.table.routes if host_matches(route.host, host)]

    def _push(self, asked: Asked) -> bool:
        """Whether pipelock sees a push and refuses it; the upstream engine does not."""
        seen = self.manifest.pipelock.engine == "builtin" and not self.policy.passes_through(asked.host)
        return seen and self.policy.refuse_url(asked.path) is not None

    def pushes(self, url: str, ref: str, how: str, options: tuple[str, ...] = ()) -> bool:
        """Whether a push passes the gate's policy. how: create, forward, rewrite, delete."""
        if url not in self.gate:
            return False
        zero, (old, new) = "0" * 40, HEX
        lines = {"create": (zero, new), "forward": (old, new), "rewrite": (old, new), "delete": (old, zero)}
        was, now = lines[how]
        tip = "" if how == "create" else old
        return not refusals(
            self.gate[url], [Command(was, now, ref)], lambda *_: how == "forward", lambda _: tip, options
        )


def asks(route: Route, repository: str) -> bool:
    """Whether a request of this route may name a repository in GraphQL."""
    if route.repositories is None:
        return True
    owner, name = repository.split("/")
    body = json.dumps({"query": f'{{ repository(owner: "{owner}", name: "{name}") {{ id }} }}'}).encode()
    try:
        Scope(route.repositories, KnownIds()).check(
            read_queries("/graphql", "application/json", body), in_two_places=False
        )
    except OutsideError:
        return False
    return True


def hosts(*worlds: World) -> list[str]:
    """Each declared host, names below and two below a wildcard, and what is beside them."""
    declared = {
        one for world in worlds for one in (*world.policy.allowlist, *world.policy.passthrough, *world.policy.trusted)
    }
    declared |= {route.host for world in worlds for route in world.table.routes}
    candidates = {
        host
        for one in declared
        if "." in one
        for host in ([f"n.{one[2:]}", f"n.m.{one[2:]}", one[2:]] if one[0] == "*" else [one])
    }
    return sorted(candidates | {"undeclared.example.com"})


def paths(host: str, *worlds: World) -> list[str]:
    declared = {path for world in worlds for route in world.routes(host) for path in route.paths}
    candidates = {"/", "/q", "/q%2Fr", "/repos/o/r/issues", "/p/info/refs?service=git-receive-pack"}
    for path in declared:
        bare = path.rstrip("/")
        candidates |= {
            path,
            f"{bare}/",
            f"{bare}/q",
            f"{bare}%2Fz",
            path.replace("%2F", "/"),
            f"{bare}q",
            f"{bare};v",
            f"{path}.",
            path.swapcase(),
            f"/{path}",
            f"{bare}/../q",
        }
        candidates |= {path.lower(), path.upper()}
        candidates |= {other + path[len(other) :] for other in declared if path.lower().startswith(other.lower())}
    return sorted(candidates)


def moments(*worlds: World) -> list[float]:
    ends = {
        parse_until(i.until) for w in worlds for i in (*w.manifest.egress.routes, *w.manifest.pipelock.allow) if i.until
    }
    return [NOW, *sorted({at + step for at in ends if at > NOW for step in (-1.0, 0.0)})]


def requests(*worlds: World) -> Iterator[Asked]:
    """At each time in turn, which is the time that the sidecars have while these are given."""
    for at in moments(*worlds):
        with at_time(at):
            for host in hosts(*worlds):
                # Where all that has a say is the same, nothing can differ.
                if all(world.all_of(host) == worlds[0].all_of(host) for world in worlds[1:]) and len(worlds) > 1:
                    continue
                named = {method for world in worlds for route in world.routes(host) for method in route.methods}
                for path in paths(host, *worlds):
                    yield from (Asked(host, path, method, at) for method in sorted(named | {"GET", "POST", "REPORT"}))


@contextlib.contextmanager
def at_time(at: float) -> Iterator[None]:
    """The time that everything goes by."""
    with patch("claude_bottle.policy.routes.expiry.time.time", lambda: at):
        yield


def refs(*worlds: World) -> list[str]:
    globs = {glob for world in worlds for remote in world.gate.values() for glob in remote.branches}
    candidates = {"refs/heads/main", "refs/tags/v1", "refs/notes/x"}
    for glob in globs:
        whole = glob if glob.startswith("refs/") else f"refs/heads/{glob}"
        for word in ("", "n", "x", "a/b", "zz9/x"):
            candidates.add(whole.replace("*", word).replace("?", "n").replace("[ab]", "a"))
            candidates.add(whole.replace("*", word).replace("?", "b").replace("[ab]", "b"))
    return sorted(candidates)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
