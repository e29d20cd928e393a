"""The composition, through Pulumi's mocks: what is registered, and how it is hardened."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pulumi
import pytest
from mocked import Recorder, compose, is_secret

from claude_bottle.engines.declare import Flow
from claude_bottle.engines.docker.resources import image
from claude_bottle.engines.docker.resources.network import networks_of
from claude_bottle.host.git_remotes import GateRemote
from claude_bottle.manifest.model import GitRemote
from claude_bottle.manifest.sizes import megabytes
from claude_bottle.policy.names.files import RECORD
from claude_bottle.policy.names.git_upstream import Upstream
from claude_bottle.workspace.copies import Copies, Workspace
from claude_bottle.workspace.git_mounts import GitPlaces
from components.authorities import fingerprint
from components.flows import flows

TOKEN = "a-real-looking-token-value"
ROUTED = {
    "env": {"A": "b"},
    "egress": {
        "routes": [
            {"host": "api.anthropic.com", "token_ref": "CLAUDE_CODE_OAUTH_TOKEN"},
            {"host": "api.example.com"},
        ]
    },
}
BARE = {"pipelock": {"allow": ["api.example.com"]}}


@pytest.fixture(scope="module")
def routed() -> tuple[Recorder, dict[str, Any]]:
    return compose(ROUTED, {"CLAUDE_CODE_OAUTH_TOKEN": TOKEN})


@pytest.fixture(scope="module")
def bare() -> tuple[Recorder, dict[str, Any]]:
    return compose(BARE)


def networks(recorder: Recorder, role: str) -> set[str]:
    joined = recorder.container(role).inputs["networksAdvanced"]
    return {network["name"].rpartition("-network-")[2] for network in joined}


def upload(recorder: Recorder, role: str, path: str) -> Any:
    return next(u["content"] for u in recorder.container(role).inputs["uploads"] if u["file"] == path)


def test_only_pipelock_touches_the_outside(routed: Any, bare: Any) -> None:
    assert networks(routed[0], "agent") == {"agent"}
    assert networks(routed[0], "egress") == {"agent", "chain"}
    assert networks(routed[0], "pipelock") == {"chain", "outside"}
    assert networks(bare[0], "agent") == {"agent"}
    assert networks(bare[0], "pipelock") == {"agent", "outside"}
    assert networks(bare[0], "supervise") == {"agent"}
    assert len(bare[0].all(":Container")) == 3


def test_the_inner_networks_are_internal_and_without_the_host(routed: Any) -> None:
    inputs = {n.name.rpartition("-network-")[2]: n.inputs for n in routed[0].all(":Network")}
    assert set(inputs) == {"agent", "chain", "outside"}
    for inner in ("agent", "chain"):
        assert inputs[inner]["internal"] is True
        assert inputs[inner]["options"] == {"com.docker.network.bridge.inhibit_ipv4": "true"}
        assert inputs[inner]["ipv6"] is False
    assert inputs["outside"]["internal"] is False


def test_every_container_is_hardened(routed: Any, bare: Any) -> None:
    targets = {"agent": ["/home/node"], "supervise": ["/var/lib/supervise"], "egress": [RECORD]}
    for container in (*routed[0].all(":Container"), *bare[0].all(":Container")):
        inputs = container.inputs
        assert inputs["capabilities"] == {"drops": ["ALL"]}
        assert inputs["securityOpts"] == ["no-new-privileges:true"]
        assert inputs["init"] is True
        assert inputs["memory"] == inputs["memorySwap"] > 0
        assert inputs["restart"] == "unless-stopped"
        assert inputs["destroyGraceSeconds"] > 0
        assert inputs["logOpts"] == {"max-file": "3", "max-size": "10m"}
        assert {label["label"] for label in inputs["labels"]} == {"claude-bottle.stack", "claude-bottle.role"}
        assert inputs["name"] == f"claude-bottle-{inputs['hostname']}-unit"
        assert inputs["image"].startswith("sha256:")
        assert container.delete_before_replace
        for forbidden in (
            "privileged",
            "ports",
            "volumes",
            "devices",
            "pidMode",
            "ipcMode",
            "usernsMode",
            "hosts",
        ):
            assert forbidden not in inputs
        scratch = [mount for mount in inputs.get("mounts", []) if mount["type"] == "tmpfs"]
        assert all(mount["tmpfsOptions"]["sizeBytes"] <= 16 << 20 for mount in scratch)
        assert {mount["target"] for mount in scratch} == (
            set() if inputs["hostname"] == "agent" else {"/tmp", "/var/tmp", "/run/lock"}
        )
        mounts = [mount for mount in inputs.get("mounts", []) if mount not in scratch]
        assert all(mount["type"] == "volume" for mount in mounts)
        assert [m["target"] for m in mounts] == targets.get(inputs["hostname"], [])


def test_names_do_not_resolve_outside(routed: Any) -> None:
    assert routed[0].container("agent").inputs["dns"] == ["127.0.0.1"]
    assert routed[0].container("egress").inputs["dns"] == ["127.0.0.1"]


def test_tokens_are_secret_and_in_egress_only(routed: Any) -> None:
    recorder, outputs = routed
    holders = [r.name for r in recorder.resources if TOKEN in json.dumps(r.inputs)]
    assert holders == ["unit-egress-container"]
    assert is_secret(upload(recorder, "egress", "/etc/claude-bottle/tokens.json"))
    assert TOKEN not in json.dumps(recorder.container("egress").inputs["envs"])
    assert TOKEN not in json.dumps(outputs)


def test_ca_keys_are_secret_and_never_in_the_agent(routed: Any) -> None:
    recorder, _ = routed
    assert len(recorder.all(":PrivateKey")) == len(recorder.all(":SelfSignedCert")) == 2
    assert {k.inputs["algorithm"] + k.inputs["ecdsaCurve"] for k in recorder.all(":PrivateKey")} == {"ECDSAP256"}
    for cert in recorder.all(":SelfSignedCert"):
        assert is_secret(cert.inputs["privateKeyPem"])
        assert cert.inputs["isCaCertificate"] is True
        assert 0 < cert.inputs["earlyRenewalHours"] < cert.inputs["validityPeriodHours"]
    assert is_secret(upload(recorder, "egress", "/etc/claude-bottle/mitmproxy-ca.pem"))
    assert is_secret(upload(recorder, "pipelock", "/etc/pipelock/ca-key.pem"))
    assert "uploads" not in recorder.container("agent").inputs or not recorder.container("agent").inputs["uploads"]
    assert "KEY " not in json.dumps([recorder.container("agent").inputs, recorder.command("-ca").inputs])


def test_without_routes_there_is_one_ca_and_no_egress(bare: Any) -> None:
    recorder, outputs = bare
    assert len(recorder.all(":PrivateKey")) == 1
    assert not [r for r in recorder.resources if "egress" in r.name]
    assert outputs["egress_container"] is None
    assert "HTTPS_PROXY=http://pipelock:8888" in recorder.container("agent").inputs["envs"]


def test_the_agent_gets_a_placeholder_and_its_proxy(routed: Any) -> None:
    envs = dict(e.split("=", 1) for e in routed[0].container("agent").inputs["envs"])
    assert envs["HTTPS_PROXY"] == envs["https_proxy"] == envs["HTTP_PROXY"] == "http://egress:8080"
    assert envs["CLAUDE_CODE_OAUTH_TOKEN"].startswith("placeholder")
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    assert envs["NODE_EXTRA_CA_CERTS"] == envs["SSL_CERT_FILE"] == envs["REQUESTS_CA_BUNDLE"] == bundle
    assert envs["A"] == "b"


def test_each_part_waits_for_what_it_needs(routed: Any) -> None:
    recorder, _ = routed

    def waits(name: str) -> str:
        return " ".join(next(r for r in recorder.resources if r.name == name).dependencies)

    # The two proxies start side by side: egress has no way out but pipelock, so it sends nothing before that is there.
    assert "unit-pipelock" not in waits("unit-egress-container")
    assert "unit-pipelock-policy-put" in waits("unit-agent-container")
    assert "unit-egress-routes-put" in waits("unit-agent-container")
    assert "unit-agent-container" in waits("unit-provision-ca")
    for command in recorder.all(":Command"):
        assert command.inputs["triggers"]


def test_policies_travel_beside_the_containers(routed: Any) -> None:
    """A route edit is a new input of a command, never of a container."""
    other = compose(
        {"egress": {"routes": [*ROUTED["egress"]["routes"], {"host": "new.example.com"}]}, "env": {"A": "b"}},
        {"CLAUDE_CODE_OAUTH_TOKEN": TOKEN},
    )[0]  # type: ignore[index]
    before, after = (
        {r.name: r.inputs for r in recorder.resources if not r.typ.endswith(":Stack")}
        for recorder in (routed[0], other)
    )
    assert set(before) == set(after)
    changed = [name for name, inputs in before.items() if inputs != after[name] and name != "unit"]  # unit: the plan
    # And git in the agent knows that it reads from the new host by https.
    assert sorted(changed) == ["unit-egress-routes-put", "unit-pipelock-policy-put", "unit-provision-git"]


def test_the_upstream_engine_gets_its_files_and_its_pinned_image() -> None:
    image = "ghcr.io/example/pipelock@sha256:" + "b" * 64
    recorder, outputs = compose({"pipelock": {"engine": "upstream", "image": image}})
    container = recorder.container("pipelock")
    assert container.inputs["command"] == ["run", "--config", "/etc/pipelock/pipelock.yaml"]
    assert {i.inputs["name"] for i in recorder.all(":RemoteImage")} >= {image}
    assert "/etc/pipelock/pipelock.yaml" in json.dumps(container.inputs["uploads"])
    assert outputs["plan"]["pipelock"]["image"] == image
    assert not [c for c in recorder.all(":Command") if "policy" in c.name]


def test_images_stay_and_are_tagged_by_content(routed: Any) -> None:
    images = routed[0].all(":RemoteImage")
    assert {i.inputs["name"].partition(":")[0] for i in images} == {
        f"claude-bottle/{r}" for r in ("agent", "base", "proxy", "supervise")
    }
    assert all(i.inputs["keepLocally"] is True for i in images)


def test_each_image_that_is_built_says_why_where_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(image, "say_why", lambda name: asked.append(name) or pulumi.ResourceHookBinding())
    recorder, _ = compose({"agent": {"apt": ["jq"]}, "egress": {"routes": []}})
    assert set(asked) == {image.name for image in recorder.all(":RemoteImage") if "build" in image.inputs}
    assert len(asked) > 3


def test_small_helpers() -> None:
    assert (megabytes("512m"), megabytes("2g")) == (512, 2048)
    with pytest.raises(ValueError, match="not a memory size"):
        megabytes("2t")
    pem = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n"
    assert fingerprint(pem).startswith("BA:78:16:BF")


def test_a_mounted_workspace_has_a_read_only_git_and_a_home_that_stays() -> None:
    places = GitPlaces((".git", "lib/.git"), ("new/.git",))
    workspace = Workspace("/h/p", "mount", git=places)
    recorder = compose(BARE, copies=Copies(workspace=workspace))[0]
    mounts = {m["target"]: m for m in recorder.container("agent").inputs["mounts"]}
    assert mounts["/home/node"]["source"] == "claude-bottle-home-unit"
    assert mounts["/home/node/workspace"]["source"] == "/h/p"
    for name in (".git", "lib/.git", "new/.git"):
        assert mounts[f"/home/node/workspace/{name}"]["readOnly"] is True
        assert mounts[f"/home/node/workspace/{name}"]["source"] == f"/h/p/{name}"
    command = recorder.command("-agent-git-places")
    assert command.inputs["environment"]["CLAUDE_BOTTLE_STEP"] == "exec mkdir -p -- /h/p/new/.git"
    assert any(dependency.endswith(f"::{command.name}") for dependency in recorder.container("agent").dependencies)
    assert not [r for r in recorder.all(":Command") if r.name.endswith("-workspace")]


def test_the_steps_come_in_order() -> None:
    recorder = compose(BARE, copies=Copies(workspace=Workspace("/h/p", "copy", digest="d")))[0]
    order = ["ca", "prompt", "skills", "workspace", "git"]
    steps = [recorder.command(f"-provision-{step}") for step in order]
    for before, after in itertools.pairwise(steps):
        assert any(dependency.endswith(f"::{before.name}") for dependency in after.dependencies)


def gate_remotes(tmp_path: Path) -> list[GateRemote]:
    known = "git.example.com ssh-ed25519 AAAA"
    ssh = GitRemote(name="p", upstream="git@git.example.com:a/p.git", identity_file="k", known_hosts=known)
    https = GitRemote(name="q", upstream="https://git.example.com/a/q.git", token_ref="GH")
    return [
        GateRemote(ssh, Upstream.parse(ssh.upstream), "THE-PRIVATE-KEY\n", ""),
        GateRemote(https, Upstream.parse(https.upstream), TOKEN, "title = 'x'"),
    ]


def test_git_credentials_are_secret_files_of_the_gate_alone(tmp_path: Path) -> None:
    remotes = gate_remotes(tmp_path)
    raw = {**BARE, "git": [remote.config.model_dump() for remote in remotes]}
    recorder, outputs = compose(raw, remotes=remotes)
    for secret in ("THE-PRIVATE-KEY", TOKEN):
        assert [r.name for r in recorder.resources if secret in json.dumps(r.inputs)] == ["unit-git-gate-container"]
        assert secret not in json.dumps(outputs)
    assert is_secret(upload(recorder, "git-gate", "/etc/git-gate/p.key"))
    assert is_secret(upload(recorder, "git-gate", "/etc/git-gate/q.token"))
    assert networks(recorder, "git-gate") == {"agent", "outside"}
    modes = {u["file"]: u["permissions"] for u in recorder.container("git-gate").inputs["uploads"]}
    assert modes["/etc/git-gate/p.key"] == modes["/etc/git-gate/q.token"] == "0444"
    assert outputs["plan"]["git_remotes"][0]["served_as"] == "git://git-gate/p.git"
    assert outputs["plan"]["git_gate"]["mirrors_volume"] == "claude-bottle-mirrors-unit"
    assert "insteadOf = git@git.example.com:a/p" in recorder.command("-provision-git").inputs["stdin"]


def test_each_container_has_a_limit_of_processes(routed: Any) -> None:
    limits = json.loads(routed[0].command("-attachments-mend").inputs["stdin"])["processes"]
    assert limits.pop("claude-bottle-agent-unit") == 4096
    assert set(limits) == {f"claude-bottle-{role}-unit" for role in ("egress", "pipelock", "supervise")}
    assert set(limits.values()) == {1024}


def test_pipelock_knows_the_bottles_networks_where_it_could_be_led_there() -> None:
    raw = {"egress": {"routes": [{"host": "a.example.com"}]}, "pipelock": {"internal_exempt": ["198.18.0.0/15"]}}
    recorder, _ = compose(raw)
    envs = dict(e.split("=", 1) for e in recorder.container("pipelock").inputs["envs"])
    subnets = {r.inputs["ipamConfigs"][0]["subnet"] for r in recorder.all(":Network")}
    assert len(subnets) == 3
    assert set(envs["CLAUDE_BOTTLE_NETWORKS"].split(",")) == subnets


def test_networks_are_made_of_flows() -> None:
    """supervise needs none of its own to reach the agent's proxy: it is on the agent's with it."""
    agents = ["agent", "egress", "git-gate", "supervise"]
    full = {"agent": agents, "chain": ["egress", "pipelock"], "outside": ["git-gate", "pipelock"]}
    assert networks_of(flows(routed=True, git=True, supervise=True)) == full
    small = {"agent": ["agent", "pipelock"], "outside": ["pipelock"]}
    assert networks_of(flows(routed=False, git=False, supervise=False)) == small
    shown = {"a": ["a", "b", "c"]}
    assert networks_of([Flow("b", "c"), Flow("a", "b"), Flow("a", "c")]) == shown, "whatever their order"
