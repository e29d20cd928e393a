"""Facts of a plan other than its destinations: git, DLP, the agent itself. Pure.

Each fact has words of its own, so that two plans are compared fact by fact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from claude_bottle.manifest.sizes import megabytes
from claude_bottle.policy.declared.keys import Number
from claude_bottle.policy.declared.push_policy import FIELDS
from claude_bottle.policy.names.exempt import covers
from claude_bottle.policy.names.ref_globs import covered
from claude_bottle.policy.routes.injection import auth_header

Plan = Mapping[str, Any]
Key = tuple[str, ...]


@dataclass
class Facts:
    """Key to heading and words. gives: a new one is a gain. holds: a removed one is a gain. amounts: heading, number
    and unit; more is a gain.
    """

    gives: dict[Key, tuple[str, str]] = field(default_factory=dict)
    holds: dict[Key, tuple[str, str]] = field(default_factory=dict)
    amounts: dict[Key, tuple[str, float, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan) -> Facts:
        """All facts of a plan."""
        facts = cls()
        for fill in (_agent, _pipelock, _git):
            fill(plan, facts)
        return facts


def _agent(plan: Plan, facts: Facts) -> None:
    agent, workspace = plan["agent"], plan["workspace"]
    facts.amounts["memory",] = ("agent", megabytes(agent["memory"]), "MB of memory")
    facts.amounts["cpus",] = ("agent", agent["cpus"], "cpus")
    for kind in ("apt", "npm"):
        facts.gives |= {(kind, one): ("agent", f"{kind} package {one}") for one in agent[kind]}
    if agent["runtime"]:
        facts.holds["runtime", agent["runtime"]] = ("agent", f"runs in {agent['runtime']}")
    if agent["claude_placeholder"]:
        words = "a placeholder for Claude Code, so that it starts as signed in"
        facts.gives["placeholder",] = ("injected", words)
    for route in plan["egress"]["routes"]:
        for name in route.get("placeholder", ()):
            words = f"{name}: a placeholder in the agent's environment, for {route['token_ref']} at {route['host']}"
            facts.gives["placeholder", name, route["token_ref"], route["host"]] = ("injected", words)
    for skill in plan["skills"]:
        facts.gives["skill", skill["name"], skill["source"]] = (
            "copied in",
            f"skill {skill['name']} from {skill['source']}",
        )
    if workspace and workspace["mode"] == "mount":
        facts.gives["mount", workspace["source"]] = (
            "mounted",
            f"workspace: {workspace['source']}, which the agent can write to",
        )
    elif workspace:
        facts.gives["copy", workspace["source"]] = ("copied in", f"workspace: a copy of {workspace['source']}")
        if workspace["copy_git"]:
            facts.gives["copy git", workspace["source"]] = ("copied in", f"the .git of {workspace['source']}")
    outside = plan["network"]["outside"]
    facts.gives["outside", outside] = ("network", f"outside access by {_network(outside)}")
    if plan["supervise"]:
        facts.gives["supervise",] = ("supervise", "the agent can ask you for access, packages and resources")


def _network(outside: str) -> str:
    return "a network of its own" if outside == "own" else f"the Docker network {outside}"


# Reactions to a finding in a request body. Refusal is the default and has no words.
_REACTIONS = {
    "redact": "a request with a finding in its body is sent with the finding masked,"
    " again with every turn of a model's conversation",
    "ask": "a request with a finding in its body waits for your answer",
}


def _pipelock(plan: Plan, facts: Facts) -> None:
    pipelock = plan["pipelock"]
    facts.gives["engine", pipelock["engine"]] = (
        "DLP",
        f"outbound traffic is inspected by the engine {pipelock['engine']}",
    )
    for one in pipelock["dlp_patterns"]:
        facts.holds["pattern", one["name"], str(one["sha256"])] = (
            "DLP",
            f"detects your pattern {one['name']} (sha256 {_digest(one)})",
        )
    if pipelock["engine"] == "builtin":
        for rule in pipelock["disabled_rules"]:
            facts.gives["rule off", rule] = ("DLP", f"does not apply the rule {rule}")
        for host, rules in pipelock["host_disabled_rules"].items():
            for rule in sorted(set(rules) - set(pipelock["disabled_rules"])):
                words = f"{host}: the rule {rule} does not apply"
                facts.gives["rule off", rule, host] = ("DLP", words)
        for host, reaction in pipelock.get("on_match", {}).items():
            if reaction in _REACTIONS:
                facts.gives["on match", host, reaction] = ("DLP", f"{host}: {_REACTIONS[reaction]}")
        inbound = pipelock.get("inbound", "off")
        if inbound != "off":
            facts.holds["inbound",] = ("DLP", "scans answers for instructions to the agent")
        if inbound == "block":
            facts.holds["inbound", "block"] = ("DLP", "refuses answers with such instructions")
        for pack in pipelock["packs"]:
            facts.holds["pack", pack] = ("DLP", f"applies the pack {pack}")
        facts.amounts["stream",] = ("DLP", -pipelock["max_body_mb"], "MB, above which a body is scanned as a stream")
    else:
        facts.amounts["longest",] = ("DLP", pipelock["max_body_mb"], "MB a body, above which the engine refuses it")
        filled = {auth_header(route["auth_scheme"]) for route in plan["egress"]["routes"]} - {""}
        for name in sorted(filled):
            facts.gives["header", name] = ("DLP", f"does not scan the header {name}, on any host")
    for network in pipelock.get("internal_exempt", ()):
        words = f"every host: may resolve to {network}, but not to the bottle's own networks"
        facts.gives["exempt", network] = ("internal", words)
    if proxy := pipelock.get("upstream_proxy"):
        login = f", with the login {pipelock['upstream_proxy_ref']}" if pipelock.get("upstream_proxy_ref") else ""
        facts.gives["upstream proxy", proxy, login] = (
            "network",
            f"pipelock and git-gate connect by the forward proxy {proxy}{login}",
        )
    if pipelock["seed_phrases"]:
        facts.holds["seed phrases",] = ("DLP", "detects seed phrases")
    for one in pipelock["upstream_roots"]:
        words = f"servers with a certificate from a root of {one['file']} (sha256 {_digest(one)})"
        facts.gives["root", one["file"], str(one["sha256"])] = ("trusted roots", words)
    for one in pipelock["revocation_lists"]:
        words = f"refuses the certificates that {one['file']} revokes (sha256 {_digest(one)})"
        facts.holds["revoked", one["file"], str(one["sha256"])] = ("trusted roots", words)


def _git(plan: Plan, facts: Facts) -> None:
    for remote in plan["git_remotes"]:
        url = remote["upstream"]

        def say(words: str, *fact: str, holds: bool = False, at: str = url) -> None:
            (facts.holds if holds else facts.gives)["git", at, *fact] = ("git", f"git {at}: {words}")

        say("fetch", "fetch")
        for column, key in FIELDS.items():
            if column not in remote or key.says is None:  # the plan is of a version without this key
                continue
            if isinstance(key, Number):
                facts.amounts["git", url, key.right] = ("git", remote[column], key.says(url))
            for right in key.rights(key.read(remote[column])):
                say(key.says(*right), key.right, *right, holds=key.limits)
        say(f"with {remote['credential']}", "credential", remote["credential"])
        if remote["known_hosts_sha256"]:
            digest = remote["known_hosts_sha256"]
            say(f"to a host with your known_hosts (sha256 {digest[:16]})", "known_hosts", digest)
        rules = remote["rules_sha256"]
        said = f"your rules (sha256 {rules[:16]})" if rules else "gitleaks' own rules"
        say(f"every commit scanned by {said}", "rules", rules or "")


def differences(old: Facts, new: Facts) -> Iterator[tuple[str, str]]:
    """`+` or `-` and words, for each fact by which one plan gives more than the other."""
    for mark, more, less in (("-", old, new), ("+", new, old)):
        for key, (_, words) in more.gives.items():
            if key not in less.gives and not _given(key, less):
                yield mark, words
        for key, (_, words) in less.holds.items():
            comparable = key[0] != "git" or (*key[:2], "fetch") in old.gives.keys() & new.gives.keys()
            if key not in more.holds and comparable:
                yield mark, f"no longer required: {words}" if mark == "+" else f"required from now on: {words}"
    for key in old.amounts.keys() & new.amounts.keys():
        was, now, unit = old.amounts[key][1], new.amounts[key][1], new.amounts[key][2]
        if was != now:
            yield "+" if now > was else "-", f"{abs(now):g} {unit} (so far {abs(was):g})"


def _given(key: Key, facts: Facts) -> bool:
    """Whether others already cover a right: exempt networks, globs of a push, push options."""
    *start, last = key
    others = [other[-1] for other in facts.gives if other[:-1] == tuple(start)]
    if key[0] == "exempt":
        return covers(others, last)
    if key[0] == "git" and key[2:3] == ("push",):
        return covered(last, others)
    if key[0] == "git" and key[2:3] == ("option",):
        return any(last.startswith(other.removesuffix("*")) for other in others if other.endswith("=*"))
    return False


def _digest(one: Mapping[str, Any]) -> str:
    return str(one["sha256"])[:16]
