"""The invariants of the composition, for every example stack and for random valid manifests; and the parsers, fuzzed."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from invariants import ALL, broken
from mocked import compose
from pydantic import ValidationError

from addons.pipelock.core import Policy, PolicyError
from claude_bottle.approvals.audit.decisions import read_line
from claude_bottle.checks.validation import examine
from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.packed.decoder import DecodeError
from claude_bottle.dlp.packed.decoders import decode
from claude_bottle.dlp.rules.ruleset import RuleSet
from claude_bottle.dlp.views import Unscannable, body_views
from claude_bottle.host.git_remotes import GateRemote
from claude_bottle.manifest.change import Change, ChangeError
from claude_bottle.manifest.model import GitRemote, Manifest
from claude_bottle.manifest.render.pipelock import render
from claude_bottle.manifest.render.routes import RouteTableFile
from claude_bottle.policy.names.git_upstream import Upstream
from claude_bottle.policy.names.hosts import canonical_host, split_authority
from claude_bottle.policy.routes.table import RouteTable, TableError
from claude_bottle.policy.routes.targets import checked_path, is_git_push_request
from sidecar_images.git_gate.push_policy import parse

ROOT = Path(__file__).parents[2]
# How many random ones of a kind; make containment looks at 500.
EXAMPLES = int(os.environ.get("CLAUDE_BOTTLE_EXAMPLES", "10"))
QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much]
many = settings(max_examples=max(EXAMPLES, 100), deadline=None, suppress_health_check=QUIET)

label = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)
host = st.builds(lambda a, b, wild: f"{'*.' if wild else ''}{a}.{b}.example.com", label, label, st.booleans())
exact = host.map(lambda name: name.removeprefix("*."))
path = st.lists(label, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
ref = st.sampled_from(["TOKEN_A", "TOKEN_B", "CLAUDE_CODE_OAUTH_TOKEN"])
scheme = st.sampled_from(["bearer", "basic", "header:X-Key"])
until = st.sampled_from(["2026-01-31T12:00:00Z", "2999-01-31T12:00:00Z"])


@st.composite
def routes(draw: st.DrawFn) -> dict[str, Any]:
    route: dict[str, Any] = {"host": draw(host)}
    if draw(st.booleans()):
        route["path"] = draw(st.lists(path, max_size=2, unique=True))
    if draw(st.booleans()):
        route["methods"] = draw(st.lists(st.sampled_from(["GET", "POST", "PUT"]), min_size=1, unique=True))
    if not route["host"].startswith("*.") and draw(st.booleans()):
        route["token_ref"] = draw(ref)
        if draw(st.booleans()):
            route["auth_scheme"] = draw(scheme)
    if draw(st.booleans()):
        route["until"] = draw(until)
    return route


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    manifest: dict[str, Any] = {"supervise": draw(st.booleans())}
    manifest["egress"] = {"routes": draw(st.lists(routes(), max_size=4, unique_by=lambda r: r["host"]))}
    manifest["pipelock"] = {
        "allow": draw(st.lists(host | st.builds(lambda h, u: {"host": h, "until": u}, exact, until), max_size=3)),
        "dlp": {"seed_phrases": draw(st.booleans()), "max_body_mb": draw(st.integers(1, 256))},
    }
    agent: dict[str, Any] = {"memory": f"{draw(st.integers(1, 64))}g", "cpus": draw(st.sampled_from([0.5, 1.0, 4.0]))}
    if draw(st.booleans()):
        agent["runtime"] = "runsc"
    if draw(st.booleans()):
        agent["apt"] = draw(st.lists(st.sampled_from(["jq", "make", "python3"]), unique=True))
    manifest["agent"] = agent
    manifest["env"] = draw(
        st.dictionaries(st.from_regex(r"[A-Z][A-Z_]{0,8}", fullmatch=True), st.text(max_size=10), max_size=3)
    )
    if draw(st.booleans()):
        manifest["network"] = {"external": "own-network-outside"}
    return manifest


def gate() -> GateRemote:
    config = GitRemote(name="p", upstream="https://git.example.com/a/p.git", token_ref="TOKEN_A")
    return GateRemote(config, Upstream.parse(config.upstream), TOKENS["TOKEN_A"], None)


TOKENS = {
    name: f"secret-value-of-{name.lower()}-0123456789" for name in ("TOKEN_A", "TOKEN_B", "CLAUDE_CODE_OAUTH_TOKEN")
}


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=QUIET)
@given(raw=manifests(), with_gate=st.booleans())
def test_random_bottles_keep_the_invariants(raw: dict[str, Any], with_gate: bool) -> None:
    if with_gate:
        raw = {**raw, "git": [{"name": "p", "upstream": "https://git.example.com/a/p.git", "token_ref": "TOKEN_A"}]}
    recorder, outputs = compose(raw, TOKENS, remotes=[gate()] if with_gate else [])
    assert broken(recorder, TOKENS) == []
    assert not [token for token in TOKENS.values() if token in json.dumps(outputs["plan"])]
    # What either proxy gets is what it understands.
    manifest = Manifest.model_validate(raw)
    Policy.parse(render(manifest).encode())
    RouteTable.parse(RouteTableFile.of(manifest).table.encode())


@pytest.mark.parametrize("file", sorted((ROOT / "stacks/examples").glob("Pulumi.*.yaml")), ids=lambda p: p.name)
def test_the_example_stacks_keep_the_invariants(file: Path) -> None:
    raw = yaml.safe_load(file.read_text())["config"]["claude-bottle:bottle"]
    examined = examine(raw, lambda name: TOKENS.get(name, "another-secret-value-0123456789"), ROOT / "stacks")
    refs = {route.token_ref for route in examined.readable.egress.routes if route.token_ref}
    tokens = {name: f"secret-value-of-{name.lower()}-0123456789" for name in refs}
    recorder, _ = compose(raw, tokens)
    assert broken(recorder, tokens) == []


# A change to the agent's container, and the invariant that it breaks.
BREACHES: list[tuple[Any, str]] = [
    (lambda c: c.inputs.update(privileged=True), "everything_is_hardened"),
    (lambda c: c.inputs.update(capabilities={"drops": ["ALL"], "adds": ["NET_RAW"]}), "everything_is_hardened"),
    (lambda c: c.inputs["networksAdvanced"].append({"name": "x-network-outside"}), "only_pipelock"),
    (lambda c: c.inputs.update(image="debian:latest"), "images_by_digest"),
    (lambda c: c.inputs.update(dns=[]), "names_do_not_resolve"),
    (lambda c: c.inputs.update(mounts=[{"type": "bind", "source": "/var/run/docker.sock"}]), "no_docker_socket"),
    (lambda c: c.inputs.update(envs=[TOKENS["TOKEN_A"]]), "secrets_stay"),
    (lambda c: c.inputs.update(uploads=[{"content": "x"}]), "the_agent_has_nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "rule"), BREACHES)
def test_each_invariant_notices_its_breach(change: Any, rule: str) -> None:
    recorder, _ = compose({"egress": {"routes": [{"host": "a.example.com"}]}})
    assert broken(recorder, TOKENS) == []
    change(recorder.container("agent"))
    assert any(what.startswith(rule) for what in broken(recorder, TOKENS))


def test_each_invariant_has_a_breach() -> None:
    rules = [*(rule for _, rule in BREACHES), "inner_networks_lead_nowhere"]  # below
    assert all(any(one.__name__.startswith(rule) for rule in rules) for one in ALL)


def test_an_inner_network_that_leads_out_is_noticed() -> None:
    recorder, _ = compose({"egress": {"routes": [{"host": "a.example.com"}]}})
    for network in recorder.all("network:Network"):
        network.inputs["internal"] = False
    assert len(broken(recorder, {})) == 2


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20) | host | path,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([
        "agent", "egress", "routes", "host", "path", "methods", "token_ref", "auth_scheme", "pipelock", "allow", "dlp", "git", "name",
        "upstream", "env", "prompt", "skills", "workspace", "tokens", "ssh", "role", "until", "value", "x"]) | st.text(max_size=6),
        inner, max_size=5), max_leaves=20)  # fmt: skip


@many
@given(junk)
def test_any_config_object_is_answered_with_findings(raw: Any) -> None:
    examined = examine(raw, lambda _: "a-secret-value-0123456789")
    assert examined.manifest is not None or examined.findings
    for finding in examined.findings:
        assert str(finding)
        assert "a-secret-value" not in str(finding)


@many
@given(junk)
def test_any_change_is_valid_or_refused(value: Any) -> None:
    for owner in (False, True):
        with contextlib.suppress(ChangeError):
            change = Change.read({"path": "egress.routes", "value": value}, owner=owner)
            assert change.in_words()
            assert Manifest.model_validate(change.on({}))


@many
@example(b"+_")
@example(b"%YAML 1.1\n--- +_")
@given(st.binary(max_size=400) | junk.map(lambda node: json.dumps(node).encode()))
def test_any_bytes_are_a_table_or_refused(data: bytes) -> None:
    for parser, error in ((RouteTable.parse, TableError), (Policy.parse, PolicyError)):
        with contextlib.suppress(error):
            parser(data)  # type: ignore[operator]
    with contextlib.suppress(ValueError):
        parse(data.decode("latin-1"))
    read_line("s", data.decode("latin-1"))
    with contextlib.suppress(ValidationError, ValueError):
        Manifest.model_validate_json(data)


@many
@given(st.text(max_size=60) | st.from_regex(r"[%./;\\a-zA-Z0-9?#&=+-]{0,40}", fullmatch=True))
def test_any_text_is_a_host_or_a_path_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        name = canonical_host(text)
        assert canonical_host(name) == name
        assert name.isascii()
    with contextlib.suppress(ValueError):
        split_authority(text, 443)
    plain = checked_path("/" + text)
    if plain is not None:
        assert not {"..", "."} & {segment.partition(";")[0] for segment in plain.split("/")}
        assert "\\" not in plain
    is_git_push_request("/" + text)


@pytest.fixture(scope="module")
def dlp() -> Dlp:
    return Dlp(RuleSet())


KINDS = st.sampled_from(
    ["application/json", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "text/plain", ""]
)


@many
@given(
    data=st.binary(max_size=600) | st.text(max_size=300).map(lambda t: ("--x\r\n\r\n" + t + "\r\n--x--").encode()),
    kind=KINDS,
    encoding=st.sampled_from(["", "gzip", "br", "zstd", "deflate", "gzip, br", "nonsense"]),
)
def test_any_body_is_looked_at_or_refused(dlp: Dlp, data: bytes, kind: str, encoding: str) -> None:
    with contextlib.suppress(Unscannable):
        dlp.look_at_body(data, kind, encoding)
    with contextlib.suppress(DecodeError):
        decode(data, encoding, 1 << 20)
    with contextlib.suppress(Unscannable):
        sum(len(view) for _, view in body_views(data, kind, encoding))
    dlp.look_at_url("a.example.com", "/" + data.decode("latin-1"))
    dlp.look_at_headers([(b"x", data)])
