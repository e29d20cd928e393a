"""The plan says all that changes: over random pairs of manifests, a gain in behaviour has a `+` line that names it, and
a `+` line a gain; two tables are alike only where behaviour is. `make test` looks at some, `make containment` at many.

Behaviour is what the sidecars' own modules decide (tests/unit/plan_worlds.py).
"""

from __future__ import annotations

import os
import random
import re
import time
from collections import defaultdict
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import pytest
from plan_worlds import (
    FILES,
    GLOBS,
    NOW,
    Asked,
    World,
    a_manifest,
    accepted,
    at_time,
    moments,
    mutated,
    refs,
    remotes_of,
    requests,
    sha,
)

from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.routes import RouteTableFile
from claude_bottle.plan.diff import changes
from claude_bottle.plan.resolved import plan
from claude_bottle.plan.table import rows
from claude_bottle.policy.forge.api import needed
from claude_bottle.policy.forge.capabilities import CAPABILITIES
from claude_bottle.policy.names.hosts import host_matches
from claude_bottle.policy.names.ref_globs import covered
from claude_bottle.policy.routes.expiry import ended, parse_until
from claude_bottle.policy.routes.paths import below
from claude_bottle.policy.routes.targets import checked_path
from claude_bottle.policy.routes.values import DEFAULT_METHODS
from claude_bottle.workspace.copies import Copies
from sidecar_images.git_gate.push_policy import allowed_ref

VOLUMES = {"home": "claude-bottle-home-s", "mirrors": "claude-bottle-mirrors-s"}

PAIRS = int(os.environ.get("CLAUDE_BOTTLE_EXAMPLES", "40")) * 3
SECONDS = float(os.environ.get("CLAUDE_BOTTLE_FUZZ_SECONDS", "0"))  # for so long, instead of so many
SEED = int(os.environ.get("CLAUDE_BOTTLE_FUZZ_SEED", "0"))
FIRST = int(
    os.environ.get("CLAUDE_BOTTLE_FUZZ_FIRST", "0")
)  # the number of the first pair, to go on behind one that was mended
IMAGES = {
    "agent": "agent:1",
    "egress": "egress:1",
    "pipelock": "pipelock:1",
    "supervise": "supervise:1",
    "git-gate": "gate:1",
}
_REACH = re.compile(r"the agent gains (\S+)(?: \(but not ([^)]*)\))?: (.*?) on (.*)\Z")


def planned(manifest: Manifest) -> dict[str, Any]:
    given = {"agent": manifest.agent.image, "pipelock": manifest.pipelock.image}
    images = {**IMAGES, **{role: image for role, image in given.items() if image}}
    return plan("s", manifest, RouteTableFile.of(manifest), Copies(), remotes_of(manifest), images, VOLUMES, FILES)


@dataclass
class Plus:
    """A `+` line about a place, read as a person would."""

    text: str
    host: str
    but: list[str]
    methods: str
    rest: str

    @classmethod
    def read(cls, line: str) -> Plus | None:
        match = _REACH.match(line.removeprefix("+ "))
        return cls(line, match[1], (match[2] or "").split(" or "), match[3], match[4]) if match else None

    def names(self, asked: Asked, fact: tuple[str, ...]) -> bool:
        return self.names_place(asked) and self.names_fact(fact)

    def names_place(self, asked: Asked) -> bool:
        by_host = host_matches(self.host, asked.host) and not any(host_matches(one, asked.host) for one in self.but)
        words = self.methods.split(", ")
        usual = "every method" in words and asked.method in DEFAULT_METHODS
        named = usual or not {asked.method, "any method", "any other method"}.isdisjoint(words)
        return by_host and named and self.names_path(asked.path)

    def names_path(self, path: str) -> bool:
        if self.rest.startswith("what servers may read as ") or checked_path(path) != path:
            return True
        where = re.split(r", (?=with|may|MAY|any|a git|none|from|until|without)", self.rest)[0]
        tops = re.findall(r"(every path|/\S*)(?: \(but not ([^)]*)\))?", where)
        return any(
            (top == "every path" or below(top, path)) and not any(below(one, path) for one in but.split(" or ") if one)
            for top, but in tops
        ) or any(below(top.lower(), _merged(path)) for top, _ in tops)

    def names_fact(self, fact: tuple[str, ...]) -> bool:
        kind = fact[0]
        free = "there is no egress" in self.rest
        if kind == "push":
            return "a git push too" in self.rest
        if kind == "pass":
            return f", with {fact[1]}" in self.rest if fact[1] else ", without a credential" in self.rest or free
        if kind == "follow":
            words = {"links": "whatever address its answers name", "redirects": "where its redirects lead"}
            return words[fact[1]] in self.rest
        everything = "every method" in self.methods or {"PUT", "PATCH", "DELETE"} <= set(self.methods.split(", "))
        passes = ", with" in self.rest or free
        return free or {
            "header": f"may send {fact[-1]}" in self.rest,
            "forge": f"MAY {CAPABILITIES.get(fact[-1])}" in self.rest,
            "ranges": "may ask for ranges" in self.rest,
            "graphql": "in GraphQL" not in self.rest
            or any(f"may name {name} in GraphQL" in self.rest for name in ("any repository", fact[-1])),
            "brings": "may send a credential of its own" in self.rest,
            "disguise": "may name another method" in self.rest or (everything and passes),
        }.get(kind, False)


def _merged(path: str) -> str:
    """As the loosest server reads it."""
    return re.sub("/+", "/", "/".join(part.partition(";")[0].rstrip(".") for part in path.lower().split("/")))


def check_requests(one: World, two: World, plus: list[str]) -> bool:
    """Each gain has its line, and each line its gain; whether anything is other than it was."""
    reach = [read for line in plus if (read := Plus.read(line))]
    backed: set[str] = set()
    headers = {name for world in (one, two) for route in world.table.routes for name in route.allow_headers}
    differ = False
    for asked in requests(one, two):
        was, now = one.facts(asked, headers), two.facts(asked, headers)
        differ = differ or was != now
        for fact in now - was:
            if fact[0] in ("unread", "internal", "own"):
                words = {
                    "unread": "its traffic is not scanned", "internal": "may be an internal address",
                    "own": "the agent's own credentials may pass",
                }[fact[0]]  # fmt: skip
                matches = [line for line in plus if words in line and _of_host(line, asked.host)]
                assert matches or (was == frozenset() and _known(fact, one, asked)), (asked, fact, plus)
                backed.update(matches)
                continue
            if fact[0] == "forge" and not was and one.may(asked, fact[-1]):
                continue  # such a call passed, though others were refused
            named = [line for line in reach if line.names(asked, fact)]
            if not was and needed(asked.method, asked.path, asked.host):
                # Method and path were let through, and this call was not: the capability is what is new.
                named += [line for line in reach if line.names_place(asked) and "MAY" in line.rest]
            assert named, (asked, fact, was, plus)
            backed.update(line.text for line in named)
    forge = any("/repos" in path for route in two.table.routes for path in route.paths)
    for read in reach:
        if not re.search(
            r"MAY|/repos|/p\.git|github", read.text
        ):  # of these, what passes hangs on the rest of the path
            assert read.text in backed, ("no gain", read.text)
    for line in plus:
        if any(words in line for words in ("not scanned for secrets", "internal address", "own credentials may pass")):
            assert line in backed or "github" in line or forge, ("no gain", line)
    return differ


def _of_host(line: str, host: str) -> bool:
    match = re.match(r"\+ (\S+)(?: \(but not ([^)]*)\))?: ", line)
    if match is None:
        return False
    return host_matches(match[1], host) and not any(host_matches(but, host) for but in (match[2] or "").split(" or "))


def _known(fact: tuple[str, ...], world: World, asked: Asked) -> bool:
    """Whether it was so of the host already, where rules let something else pass there."""
    rules = not world.manifest.routed or any(not ended(r.until) for r in world.table.candidates(asked.host))
    return rules and fact in (world.of_host(asked.host) or ())


def check_git(one: World, two: World, plus: list[str]) -> bool:
    backed: set[str] = set()
    differ = False
    for url in {*one.gate, *two.gate}:
        lines = [line for line in plus if f"git {url}: " in line]
        pushes = {line: line.rpartition(" push to ")[2] for line in lines if " push to " in line}
        for ref in refs(one, two):
            for how in ("create", "forward", "rewrite", "delete"):
                was, now = one.pushes(url, ref, how), two.pushes(url, ref, how)
                differ = differ or was != now
                if now and not was:
                    named = [line for line, glob in pushes.items() if allowed_ref([glob], ref)]
                    named += [
                        line
                        for line in lines
                        if {"rewrite": "force pushes", "delete": "deletions"}.get(how, "?") + " allowed" in line
                    ]
                    named += [
                        line
                        for line in lines
                        if how in ("forward", "rewrite") and line.endswith("force pushes allowed")
                    ]
                    assert named, (url, ref, how, lines)
                    backed.update(named)
        for option in ("ci.skip", "topic=a", "topic=b", "topical=", "to=x", "t=", "other"):
            was, now = (any(w.pushes(url, ref, "create", (option,)) for ref in refs(one, two)) for w in (one, two))
            differ = differ or was != now
            if now and not was and url in one.gate:
                named = [line for line in lines if "push option" in line or "push to" in line]
                assert named, (url, option, lines)
                backed.update(named)
        for line in pushes:
            assert line in backed or "git-receive" in line, ("no gain", line, lines)
    return differ


def check_rest(one: World, two: World, plus: list[str]) -> bool:
    """What weakens or gives something without a request: each as a person would look for it in the lines."""

    def named(*words: str) -> bool:
        return any(all(word in line for word in words) for line in plus)

    def facts(world: World) -> dict[tuple[str, ...], tuple[str, ...]]:
        config, agent, builtin = (
            world.manifest.pipelock,
            world.manifest.agent,
            world.manifest.pipelock.engine == "builtin",
        )
        grants: dict[tuple[str, ...], tuple[str, ...]] = {
            ("net", str(world.manifest.network.external)): (str(world.manifest.network.external or "its own"),)
        }
        grants |= {("rule", rule): (rule,) for rule in world.policy.disabled_rules if builtin}
        for host, off in world.policy.host_rules.items() if builtin else ():
            grants |= {("rule", rule, host): (rule, host) for rule in off - set(world.policy.disabled_rules)}
        for host, reaction in world.policy.on_match.items() if builtin else ():
            words = {"redact": "with the finding masked", "ask": "waits for your answer"}
            grants |= {("on match", host, reaction): (f"{host}: ", words[reaction])} if reaction in words else {}
        wanting = {"crypto", "payment", "placeholders"} - set(world.policy.packs)  # the other engine has none at all
        grants |= {("pack", pack): ("no longer required", f"the pack {pack}") for pack in wanting}
        grants |= {("root", name): (name, sha(FILES[name])) for name in config.ca_files}
        for network, address in (("198.18.0.0/", "198.18.0.1"), ("198.18.0.0/15", "198.19.0.1"),
                                 ("10.0.0.0/8", "10.0.0.1"), ("fc00::/18", "fc00::1")):  # fmt: skip
            if world.policy.guard.allows(address):
                grants[("exempt", address)] = (f"may resolve to {network}",)
        grants |= {("apt", one): (one,) for one in agent.apt}
        for route in world.manifest.egress.routes:
            words = f"for {route.token_ref} at {route.host}"
            grants |= {("placeholder", name, words): (f"{name}: a placeholder", words) for name in route.placeholder}
        grants |= {} if world.policy.seed_phrases else {("seed",): ("seed phrases",)}
        grants |= {} if not world.manifest.supervise else {("supervise",): ("can ask you",)}
        for remote in world.manifest.git:
            url = f"git {remote.upstream}:"
            grants |= {("known", url, remote.known_hosts): (url, sha(remote.known_hosts))} if remote.known_hosts else {}
            grants[("key", url, remote.identity_file or "")] = (url, remote.identity_file or str(remote.token_ref))
            grants |= {("user", url, remote.token_user): (url, f" as {remote.token_user}")} if remote.token_user else {}
            grants |= {("fsck", url, check): (url, f"check {check}") for check in remote.allow_fsck}
            rules = (sha(f"rules of {remote.gitleaks_config}"),) if remote.gitleaks_config else ("gitleaks' own",)
            grants[("rules", url, str(remote.gitleaks_config))] = (url, *rules)
        return grants

    def holds(world: World) -> dict[tuple[str, ...], tuple[str, ...]]:
        config = world.manifest.pipelock
        settings = {("pattern", name, regex): (name, sha(regex)) for name, regex in world.policy.patterns}
        words = {"warn": "scans answers for instructions", "block": "refuses answers"}
        modes = {"off": (), "warn": ("warn",), "block": ("warn", "block")}[world.policy.inbound]
        settings |= {("inbound", mode): (words[mode],) for mode in modes}
        settings |= {("revoked", name): (name, sha(FILES[name])) for name in config.crl_files}
        settings |= (
            {("runtime", world.manifest.agent.runtime): (world.manifest.agent.runtime,)}
            if world.manifest.agent.runtime
            else {}
        )
        settings |= {
            ("review", url): (f"git {url}:", "review")
            for url, r in world.gate.items()
            if r.review and {url} <= one.gate.keys() & two.gate.keys()
        }
        return settings  # type: ignore[return-value]

    was, now, held, holding = facts(one), facts(two), holds(one), holds(two)
    for key, words in now.items():
        assert key in was or named(*words), (key, plus)
    for key, words in held.items():
        assert key in holding or named("no longer required", *words), (key, plus)
    for url in one.gate.keys() & two.gate.keys():
        for size in ("max_push_mb", "max_blob_mb"):
            old, new = (getattr(world.gate[url], size) for world in (one, two))
            assert new <= old or named(f"{new} MB", url), (size, plus)
    sizes = [world.policy.max_body_bytes >> 20 for world in (one, two)]
    if one.manifest.pipelock.engine == two.manifest.pipelock.engine == "builtin":
        assert sizes[1] >= sizes[0] or named(f"{sizes[1]} MB, above which"), plus
    if one.manifest.pipelock.engine == two.manifest.pipelock.engine == "upstream":
        assert sizes[1] <= sizes[0] or named(f"{sizes[1]} MB a body"), plus
    return (was, held, one.gate, sizes, one.manifest.agent, one.manifest.env) != (
        now,
        holding,
        two.gate,
        sizes[:1] * 2,
        two.manifest.agent,
        two.manifest.env,
    )


def check(first: dict[str, Any], second: dict[str, Any], manifests: tuple[Manifest, Manifest]) -> None:
    with at_time(NOW):
        plans = [planned(manifest) for manifest in manifests]
        lines = list(changes(*plans))
        tables = [sorted(rows(one)) for one in plans]
    worlds = [World(manifest) for manifest in manifests]
    plus = [line for line in lines if line.startswith("+")]
    # All three are looked at in any case.
    differ = [look(*worlds, plus) for look in (check_requests, check_git, check_rest)]
    if any(differ):
        assert tables[0] != tables[1], ("one table", differ)
        assert lines, differ
    if plans[0] != plans[1]:
        assert lines, "nothing is told"
    kinds: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        kinds[line[0]].append(line)
    assert set(kinds) <= set("+-~")
    assert not any("…" in line for line in lines)


def test_every_gain_has_its_line_and_every_line_its_gain() -> None:
    end, number = time.monotonic() + SECONDS, FIRST
    while time.monotonic() < end if SECONDS else number < FIRST + PAIRS:
        draw = random.Random(f"{SEED} {number}")
        number += 1
        raw = a_manifest(draw)
        other = mutated(draw, raw) if draw.random() < 0.8 else a_manifest(draw)
        with at_time(NOW):
            manifests = accepted_both(raw, other)
        if manifests is not None:
            try:
                check(raw, other, manifests)
            except Exception as error:
                raise AssertionError(f"pair {SEED} {number - 1}:\n{raw}\n{other}\n{error}") from error
    print(f"{number} pairs")


def test_an_ended_route_has_no_say_in_what_is_followed() -> None:
    """Found as pair 46861 of seed 31: pipelock went by a route that had ended, egress by the one that had not."""
    ended = {"host": "c.example.com", "methods": ["GET"], "until": "2026-01-31T12:00:00Z", "follow": "redirects"}
    live = {"host": "c.example.com", "methods": ["GET", "HEAD"], "follow": True}
    pair = [{"egress": {"routes": [{**ended, "follow": kind}, live]}} for kind in ("redirects", True)]
    for one, two in (pair, pair[::-1]):
        with at_time(NOW):
            manifests = accepted_both(one, two)
        assert manifests is not None
        check(one, two, manifests)


def accepted_both(raw: dict[str, Any], other: dict[str, Any]) -> tuple[Manifest, Manifest] | None:
    try:
        one, two = accepted(raw), accepted(other)
    except ValueError:
        return None
    return (one, two) if one is not None and two is not None else None


@pytest.mark.parametrize("seed", range(20))
def test_a_glob_is_within_others_or_a_ref_shows_that_it_is_not(seed: int) -> None:
    draw = random.Random(seed)
    letters = "ab/"
    for _ in range(100):
        glob, *others = (
            "".join(draw.choice(["a", "b", "/", "*", "?", "[ab]"]) for _ in range(draw.randint(1, 4))) for _ in range(3)
        )
        is_covered = covered(glob, others)
        examples = {"".join(draw.choice(letters) for _ in range(draw.randint(0, 6))) for _ in range(300)}
        if is_covered:
            assert not [
                ref
                for ref in examples
                if fnmatchcase(ref, glob) and not any(fnmatchcase(ref, other) for other in others)
            ]
    assert covered("agent/x*", ["agent/*"])
    assert covered("[ab]c", ["ac", "bc"])
    assert not covered("agent/*", ["agent/x*"])
    assert all(covered(glob, ["refs/*"]) for glob in GLOBS)
    assert not covered("refs/*", ["*"])


def test_the_space_has_its_borders() -> None:
    """The fuzzer would find nothing in a space without them."""
    raw = {"egress": {"routes": [{"host": "*.example.com", "path": ["/x"], "until": "2998-01-01T00:00:00Z"}]}}
    world = World(Manifest.model_validate(raw))
    asked = {(one.host, one.path, one.at) for one in requests(world)}
    end = parse_until("2998-01-01T00:00:00Z")
    assert {
        ("n.example.com", "/x/q", NOW),
        ("n.example.com", "/xq", end),
        ("example.com", "/", NOW),
        ("n.m.example.com", "/X", end - 1),
    } <= asked
    assert moments(world) == [NOW, end - 1, end]
