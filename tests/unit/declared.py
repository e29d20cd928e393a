"""What the contract suite (test_engine_contract.py) asks of what an engine has registered: Docker's own way to tell, and
another engine, on paper, which shows that a bottle needs none in particular.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pulumi
from mocked import Recorder

from claude_bottle.engines.declare import OUTSIDE, Engine, Flow, Image, ImageBuild, Step, Text, Workload
from claude_bottle.engines.docker.resources.engine import DockerEngine


class Seen(Protocol):
    """An engine's resources, read as the contract speaks of them. Roles are those of the workloads."""

    def engine(self) -> Engine: ...

    def meet(self, recorder: Recorder, one: str, other: str) -> bool:
        """Whether packets of either can come to the other."""

    def outside(self, recorder: Recorder, role: str) -> bool: ...

    def env(self, recorder: Recorder, role: str) -> object: ...

    def files(self, recorder: Recorder, role: str) -> Mapping[str, Any]: ...

    def resolves(self, recorder: Recorder, role: str) -> bool: ...

    def volumes(self, recorder: Recorder, role: str) -> dict[str, str]:
        """Path to the resource that stays."""

    def workload(self, recorder: Recorder, role: str) -> str:
        """Its URN."""


class SeenDocker:
    def engine(self) -> Engine:
        return DockerEngine()

    def _networks(self, recorder: Recorder, role: str) -> set[str]:
        return {network["name"] for network in recorder.container(role).inputs["networksAdvanced"]}

    def meet(self, recorder: Recorder, one: str, other: str) -> bool:
        return bool(self._networks(recorder, one) & self._networks(recorder, other) - self._leading_out(recorder))

    def _leading_out(self, recorder: Recorder) -> set[str]:
        return {
            network.inputs.get("name", network.name)
            for network in recorder.all(":Network")
            if not network.inputs["internal"]
        }

    def outside(self, recorder: Recorder, role: str) -> bool:
        return bool(self._networks(recorder, role) & self._leading_out(recorder))

    def env(self, recorder: Recorder, role: str) -> object:
        return recorder.container(role).inputs.get("envs")

    def files(self, recorder: Recorder, role: str) -> Mapping[str, Any]:
        uploads = recorder.container(role).inputs.get("uploads") or []
        return {upload["file"]: upload["content"] for upload in uploads}

    def resolves(self, recorder: Recorder, role: str) -> bool:
        return recorder.container(role).inputs.get("dns") != ["127.0.0.1"]

    def volumes(self, recorder: Recorder, role: str) -> dict[str, str]:
        mounts = recorder.container(role).inputs.get("mounts") or []
        known = {volume.inputs["name"] for volume in recorder.all(":Volume")}
        return {m["target"]: m["source"] for m in mounts if m["type"] == "volume" and m["source"] in known}

    def workload(self, recorder: Recorder, role: str) -> str:
        return recorder.container(role).urn


# ---- an engine on paper: each workload is one resource whose inputs are what was declared


class _Noted(pulumi.CustomResource):
    def __init__(self, typ: str, name: str, inputs: dict[str, Any], opts: pulumi.ResourceOptions) -> None:
        super().__init__(f"paper:index:{typ}", name, inputs, opts)


@dataclass
class _PaperRunning:
    name: str
    resource: pulumi.Resource

    @property
    def created_name(self) -> pulumi.Output[str]:
        return pulumi.Output.from_input(self.name)

    def attach(self, *argv: str) -> str:
        return f"paper run node {self.name} {' '.join(argv)}"

    def step(
        self, name: str, argv: Sequence[str], parent: pulumi.Resource, *, stdin: Text = "",
        after: Sequence[pulumi.Resource] = (),
    ) -> Step:  # fmt: skip
        wait = [self.resource, *after]
        inputs = {"argv": list(argv), "stdin": stdin}
        resource = _Noted("Step", name, inputs, pulumi.ResourceOptions(parent=parent, depends_on=wait))
        return Step(resource, pulumi.Output.from_input(""))

    def ready(
        self, name: str, parent: pulumi.Resource, *, put: Sequence[str] = (), stdin: str = "", probed: bool = True
    ) -> Step:
        return self.step(name, put, parent, stdin=stdin)


@dataclass
class _PaperFabric:
    flows: Sequence[Flow]
    subnets: Sequence[str] = ("192.0.2.0/28",)
    running: list[pulumi.Resource] = field(default_factory=list)

    def run(self, name: str, workload: Workload, opts: pulumi.ResourceOptions) -> _PaperRunning:
        volumes = {
            path: _Noted("Volume", f"{name}-{role}", {}, pulumi.ResourceOptions(parent=opts.parent)).urn
            for path, role in workload.volumes.items()
        }
        inputs = {
            "role": workload.role, "env": dict(workload.env), "files": dict(workload.files), "volumes": volumes,
            "resolves": workload.resolves_names, "flows": [[f.source, f.target] for f in self.flows],
        }  # fmt: skip
        resource = _Noted("Workload", name, inputs, opts)
        self.running.append(resource)
        return _PaperRunning(f"paper-{workload.role}", resource)

    def own_name(self, role: str, source: str) -> Text:
        return role

    def close(self, name: str, parent: pulumi.Resource) -> pulumi.Resource:
        return _Noted("Closed", name, {}, pulumi.ResourceOptions(parent=parent, depends_on=self.running))

    def prove(
        self, name: str, parent: pulumi.Resource, prober: Text, closed: pulumi.Resource, gets: str
    ) -> pulumi.Resource:
        return _Noted("Proven", name, {"prober": prober}, pulumi.ResourceOptions(parent=parent, depends_on=[closed]))


class PaperEngine:
    def has(self, tag: str) -> bool:
        return False

    def built(
        self,
        name: str,
        tag: str,
        build: ImageBuild | None,
        parent: pulumi.Resource,
        after: pulumi.Resource | None = None,
    ) -> Image:
        resource = _Noted("Image", name, {"tag": tag}, pulumi.ResourceOptions(parent=parent))
        return Image(resource, pulumi.Output.from_input(tag))

    def fetched(self, name: str, reference: str, parent: pulumi.Resource) -> Image:
        return self.built(name, reference, None, parent)

    def volume_name(self, role: str, stack: str) -> str:
        return f"paper-{role}"

    def fabric(
        self, name: str, stack: str, flows: Sequence[Flow], opts: pulumi.ResourceOptions, *,
        outside: str | None = None, pool: str | None = None,
    ) -> _PaperFabric:  # fmt: skip
        return _PaperFabric(flows)


class SeenPaper:
    def engine(self) -> Engine:
        return PaperEngine()

    def _inputs(self, recorder: Recorder, role: str) -> dict[str, Any]:
        return next(w.inputs for w in recorder.all("paper:index:Workload") if w.inputs["role"] == role)

    def meet(self, recorder: Recorder, one: str, other: str) -> bool:
        flows = self._inputs(recorder, one)["flows"]
        return [one, other] in flows or [other, one] in flows

    def outside(self, recorder: Recorder, role: str) -> bool:
        return self.meet(recorder, role, OUTSIDE)

    def env(self, recorder: Recorder, role: str) -> object:
        return self._inputs(recorder, role)["env"]

    def files(self, recorder: Recorder, role: str) -> Mapping[str, Any]:
        contents: Mapping[str, Any] = self._inputs(recorder, role)["files"]
        return contents

    def resolves(self, recorder: Recorder, role: str) -> bool:
        return bool(self._inputs(recorder, role)["resolves"])

    def volumes(self, recorder: Recorder, role: str) -> dict[str, str]:
        return dict(self._inputs(recorder, role)["volumes"])

    def workload(self, recorder: Recorder, role: str) -> str:
        return next(w.urn for w in recorder.all("paper:index:Workload") if w.inputs["role"] == role)


ENGINES: dict[str, Seen] = {"docker": SeenDocker(), "paper": SeenPaper()}
