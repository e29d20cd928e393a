"""What must be true of every bottle, whatever its manifest: functions over what was registered. Each gives what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from mocked import Recorder, Registered, is_secret

NETWORKS = {
    "agent": {"agent"},
    "egress": {"agent", "chain"},
    "git-gate": {"agent", "outside"},
    "supervise": {"agent"},
}
_FORBIDDEN = (
    "privileged", "ports", "publishAllPorts", "volumes", "devices", "deviceRequests", "pidMode", "ipcMode", "usernsMode", "hosts",
    "cgroupnsMode", "gpus", "sysctls", "groupAdds", "storageOpts",
)  # fmt: skip


def _containers(recorder: Recorder) -> list[Registered]:
    return recorder.all("container:Container")


def _networks(container: Registered) -> set[str]:
    return {n["name"].rpartition("-network-")[2] for n in container.inputs["networksAdvanced"]}


def only_pipelock_and_gate_are_outside(recorder: Recorder, _: dict[str, Any]) -> Iterator[str]:
    roles = {c.inputs["hostname"]: c for c in _containers(recorder)}
    routed = "egress" in roles
    for role, container in roles.items():
        wanted = NETWORKS.get(role, {"chain" if routed else "agent", "outside"})
        if _networks(container) != wanted:
            yield f"{role} is on {_networks(container)}"


def inner_networks_lead_nowhere(recorder: Recorder, _: dict[str, Any]) -> Iterator[str]:
    for network in recorder.all("network:Network"):
        inner = "outside" not in network.name
        if network.inputs["internal"] is not inner or network.inputs.get("ipv6"):
            yield f"{network.name} is not as it should be"
        if inner and network.inputs["options"].get("com.docker.network.bridge.inhibit_ipv4") != "true":
            yield f"{network.name} has the host on it"


def everything_is_hardened(recorder: Recorder, _: dict[str, Any]) -> Iterator[str]:
    for container in _containers(recorder):
        inputs = container.inputs
        for key in _FORBIDDEN:
            if inputs.get(key):
                yield f"{inputs['hostname']} has {key}"
        if inputs["capabilities"] != {"drops": ["ALL"]} or inputs["securityOpts"] != ["no-new-privileges:true"]:
            yield f"{inputs['hostname']} has capabilities or may get new privileges"
        if inputs["memory"] != inputs["memorySwap"] or inputs["networkMode"] != "bridge":
            yield f"{inputs['hostname']} has swap or another network mode"


def no_docker_socket(recorder: Recorder, _: dict[str, Any]) -> Iterator[str]:
    for container in _containers(recorder):
        for mount in container.inputs.get("mounts", []):
            if mount["type"] == "bind" and (
                container.inputs["hostname"] != "agent" or "docker" in str(mount["source"])
            ):
                yield f"{container.inputs['hostname']} mounts {mount}"


def images_by_digest(recorder: Recorder, _: dict[str, Any]) -> Iterator[str]:
    for container in _containers(recorder):
        if not container.inputs["image"].startswith("sha256:"):
            yield f"{container.inputs['hostname']} runs {container.inputs['image']}"


def names_do_not_resolve(recorder: Recorder, _: dict[str, Any]) -> Iterator[str]:
    for container in _containers(recorder):
        if container.inputs["hostname"] in ("agent", "egress", "supervise") and container.inputs["dns"] != [
            "127.0.0.1"
        ]:
            yield f"{container.inputs['hostname']} has a name server"


def _clear(node: Any) -> Any:
    """What of an input is kept in plain text."""
    if is_secret(node):
        return None
    if isinstance(node, dict):
        return {key: _clear(value) for key, value in node.items()}
    return [_clear(value) for value in node] if isinstance(node, list) else node


def secrets_stay_where_they_belong(recorder: Recorder, tokens: dict[str, str]) -> Iterator[str]:
    for resource in recorder.resources:
        clear = json.dumps(_clear(resource.inputs), default=str)
        for token in tokens.values():
            if token in clear:
                yield f"{resource.name} has a token in clear"
            whole = json.dumps(resource.inputs, default=str)
            if token in whole and resource.inputs.get("hostname") not in ("egress", "git-gate"):
                yield f"{resource.name} has a token"


def the_agent_has_nothing_of_the_owners(recorder: Recorder, _: dict[str, Any]) -> Iterator[str]:
    agent = recorder.container("agent").inputs
    if agent.get("uploads"):
        yield "files are put into the agent"
    if re.search(r"PRIVATE KEY|EGRESS_TOKEN", json.dumps(agent, default=str)):
        yield "the agent has a key or a slot"


ALL: tuple[Callable[[Recorder, dict[str, Any]], Iterator[str]], ...] = (
    only_pipelock_and_gate_are_outside, inner_networks_lead_nowhere, everything_is_hardened, no_docker_socket, images_by_digest,
    names_do_not_resolve, secrets_stay_where_they_belong, the_agent_has_nothing_of_the_owners,
)  # fmt: skip


def broken(recorder: Recorder, tokens: dict[str, str]) -> list[str]:
    """Everything that is wrong with a composition."""
    return [f"{rule.__name__}: {what}" for rule in ALL for what in rule(recorder, tokens)]
