"""What any engine must make of what is declared (claude_bottle/engines/declare.py). One that is new is a line of ENGINES.

What an engine must do with a bottle that is up: tests/integration/test_engine_contract.py.
"""

from __future__ import annotations

import itertools
import json

import pulumi
import pytest
from declared import ENGINES, Seen
from mocked import Recorder, compose, is_secret, recording

from claude_bottle.engines.declare import OUTSIDE, Flow, Workload
from components.flows import flows

SECRET = "a-value-that-nobody-may-see"
PICTURES = [
    flows(routed=routed, git=git, supervise=supervise)
    for routed, git, supervise in itertools.product((True, False), repeat=3)
]


@pytest.fixture(params=ENGINES.values(), ids=ENGINES)
def seen(request: pytest.FixtureRequest) -> Seen:
    view: Seen = request.param
    return view


def declare(seen: Seen, picture: list[Flow]) -> Recorder:
    """A workload for each role of the picture: the sidecars with a secret, then the agent, which waits for them."""
    recorder = recording("unit")

    @pulumi.runtime.test
    def register() -> pulumi.Output[object]:
        root = pulumi.ComponentResource("unit:index:Root", "unit")
        child = pulumi.ResourceOptions(parent=root)
        fabric = seen.engine().fabric("unit-network", "unit", picture, child)
        roles = dict.fromkeys(role for flow in picture for role in (flow.source, flow.target) if role != OUTSIDE)
        outward = {flow.source for flow in picture if flow.target == OUTSIDE}
        ready = []
        for role in [role for role in roles if role != "agent"]:
            workload = Workload(
                role, "image", 64, env={"PLAIN": "x"}, files={"/etc/token": pulumi.Output.secret(SECRET)},
                volumes={"/var/lib/x": f"{role}-record"}, ready=["true"], resolves_names=role in outward,
            )  # fmt: skip
            running = fabric.run(f"unit-{role}", workload, child)
            ready.append(running.ready(f"unit-{role}-ready", root, probed=False).resource)
        waits = pulumi.ResourceOptions(parent=root, depends_on=ready)
        agent = fabric.run("unit-agent", Workload("agent", "image", 64, volumes={"/home": "home"}, disk=True), waits)
        closed = fabric.close("unit-closed", root)
        part = pulumi.ComponentResource("unit:index:Steps", "unit-steps", None, pulumi.ResourceOptions(root, [closed]))
        first = agent.step("unit-first", ["true"], part, stdin="in")
        last = agent.step("unit-last", ["true"], part, after=[first.resource])
        return pulumi.Output.all(last.resource.urn, closed.urn)

    register()
    return recorder


@pytest.mark.parametrize("picture", PICTURES, ids=range(len(PICTURES)))
def test_every_flow_has_a_way_and_nothing_else_has(seen: Seen, picture: list[Flow]) -> None:
    recorder = declare(seen, picture)
    inner = {(flow.source, flow.target) for flow in picture if flow.target != OUTSIDE}
    out = {flow.source for flow in picture if flow.target == OUTSIDE}
    roles = {role for pair in inner for role in pair} | out
    for one, other in itertools.combinations(sorted(roles), 2):
        either = {(one, other), (other, one)}
        # Groups may show the targets of one source to one another (declare.Flow): nothing else without a flow.
        together = any({(source, one), (source, other)} <= inner for source in roles)
        if either & inner:
            assert seen.meet(recorder, one, other), (one, other)
        elif not together:
            assert not seen.meet(recorder, one, other), (one, other)
    assert {role for role in roles if seen.outside(recorder, role)} == out
    assert {role for role in roles if seen.resolves(recorder, role)} == out


def test_a_secret_is_a_file_and_in_no_variable(seen: Seen) -> None:
    recorder = declare(seen, PICTURES[0])
    assert "PLAIN" in json.dumps(seen.env(recorder, "egress"))
    assert SECRET not in json.dumps(seen.env(recorder, "egress"))
    content = seen.files(recorder, "egress")["/etc/token"]
    assert is_secret(content) or is_secret(seen.files(recorder, "egress"))
    others = [
        r for r in recorder.resources if SECRET in json.dumps(r.inputs) and r.urn != seen.workload(recorder, "egress")
    ]
    assert {r.urn for r in others} <= {seen.workload(recorder, role) for role in ("pipelock", "git-gate", "supervise")}


def test_a_volume_is_a_resource_of_its_own_which_outlives_the_workload(seen: Seen) -> None:
    recorder = declare(seen, PICTURES[0])
    homes = seen.volumes(recorder, "agent")
    assert list(homes) == ["/home"]
    records = [seen.volumes(recorder, role)["/var/lib/x"] for role in ("egress", "pipelock", "git-gate")]
    assert len({*homes.values(), *records}) == 4


def test_what_is_waited_for_comes_first(seen: Seen) -> None:
    """The agent starts when its sidecars are ready, steps run when all is closed, one after the other."""
    recorder = declare(seen, PICTURES[0])
    ready = {r.urn for r in recorder.resources if r.name.endswith("-ready")}
    agent = next(r for r in recorder.resources if r.urn == seen.workload(recorder, "agent"))
    assert ready and ready <= set(agent.dependencies)
    first, last = (next(r for r in recorder.resources if r.name == name) for name in ("unit-first", "unit-last"))
    assert first.urn in last.dependencies
    assert agent.urn in first.dependencies


def test_a_bottle_is_one_on_any_engine(seen: Seen) -> None:
    """Its parts register the same components, whichever engine they are given."""
    manifest = {"egress": {"routes": [{"host": "api.example.com", "token_ref": "A_TOKEN"}]}}
    recorder, outputs = compose(manifest, {"A_TOKEN": "a-long-enough-token"}, engine=seen.engine())
    components = {r.name for r in recorder.resources if r.typ.startswith("claude-bottle:")}
    assert {"unit-egress", "unit-pipelock", "unit-supervise", "unit-agent", "unit-provision"} <= components
    assert outputs["attach"].endswith(" claude") and outputs["agent_container"] in outputs["attach"]
    assert {role for role in ("agent", "egress", "pipelock", "supervise") if seen.outside(recorder, role)} == {
        "pipelock"
    }
    docker = [r for r in recorder.resources if r.typ.startswith("docker:")]
    assert bool(docker) == (seen is ENGINES["docker"])
