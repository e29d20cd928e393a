"""Runs the composition against Pulumi's mocks, and records what was registered and how."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import mocks

from claude_bottle.engines.declare import Engine
from claude_bottle.engines.docker.live.drift import Drift
from claude_bottle.engines.docker.resources.engine import DockerEngine
from claude_bottle.host.git_remotes import GateRemote
from claude_bottle.manifest.model import Manifest
from claude_bottle.workspace.copies import Copies
from components.bottle import Bottle, BottleArgs

SECRET_SIGNATURE = "4dabf18193072939515e22adb298388d"
_STACK = "pulumi:pulumi:Stack"
PEM = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n"


@dataclass
class Registered:
    """One resource: inputs as the engine would get them, and the options that matter.

    formerly: type and name of each alias, as far as it names them.
    """

    typ: str
    name: str
    inputs: dict[str, Any]
    dependencies: list[str]
    delete_before_replace: bool
    parent: str
    urn: str
    formerly: list[tuple[str, str]]


@dataclass
class Recorder(mocks.Mocks):
    """Plays the engine: outputs are the inputs, with what a provider would add."""

    resources: list[Registered] = field(default_factory=list)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        outputs = dict(args.inputs)
        outputs.setdefault("name", args.name)
        extra = {
            "tls:index/privateKey:PrivateKey": {"privateKeyPem": f"KEY {args.name}\n"},
            "tls:index/selfSignedCert:SelfSignedCert": {"certPem": PEM},
            "docker:index/remoteImage:RemoteImage": {"imageId": f"sha256:{args.name}"},
            "command:local:Command": {"stdout": "", "stderr": ""},
        }
        return f"{args.name}-id", {**outputs, **extra.get(args.typ, {})}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        return {}, []

    def all(self, typ: str) -> list[Registered]:
        return [r for r in self.resources if r.typ.endswith(typ)]

    def container(self, role: str) -> Registered:
        return next(r for r in self.all(":Container") if r.inputs["hostname"] == role)

    def command(self, ending: str) -> Registered:
        return next(r for r in self.all(":Command") if r.name.endswith(ending))


def urn(parent: str, type_: str, name: str) -> str:
    """As the engine makes it (Pulumi: Resource names, URNs): with the types of all parents but the stack."""
    above = parent.split("::")[2] if parent else _STACK
    chain = type_ if above == _STACK else f"{above}${type_}"
    return f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}::{chain}::{name}"


class _Monitor(mocks.MockMonitor):
    def make_urn(self, parent: str, type_: str, name: str) -> str:
        return urn(parent, type_, name)

    def RegisterResource(self, request: Any) -> Any:
        from google.protobuf import json_format

        recorder: Recorder = self.mocks  # type: ignore[assignment]
        recorder.resources.append(
            Registered(
                request.type,
                request.name,
                json_format.MessageToDict(request.object),
                list(request.dependencies),
                request.deleteBeforeReplace,
                request.parent,
                self.make_urn(request.parent, request.type, request.name),
                [(alias.spec.type or request.type, alias.spec.name or request.name) for alias in request.aliases],
            )
        )
        return super().RegisterResource(request)


def recording(stack: str) -> Recorder:
    """Of what is registered from now on."""
    recorder = Recorder()
    asyncio.set_event_loop(asyncio.new_event_loop())
    mocks.set_mocks(recorder, project="claude-bottle", stack=stack, preview=False, monitor=_Monitor(recorder))
    return recorder


def compose(
    raw: dict[str, Any],
    tokens: dict[str, str] | None = None,
    stack: str = "unit",
    copies: Copies | None = None,
    remotes: list[GateRemote] | None = None,
    drifts: dict[str, Drift] | None = None,
    images_there: frozenset[str] = frozenset(),
    engine: Engine | None = None,
) -> tuple[Recorder, dict[str, Any]]:
    """Register a bottle of this manifest; what was registered, and the resolved outputs. engine: Docker, or another."""
    recorder, outputs = recording(stack), {}

    @pulumi.runtime.test
    def register() -> pulumi.Output[None]:
        secret = {ref: pulumi.Output.secret(value) for ref, value in (tokens or {}).items()}
        manifest = Manifest.model_validate(raw)
        chosen = engine or DockerEngine(images_there, drifts=drifts or {})
        args = BottleArgs(stack, manifest, secret, copies or Copies(), remotes or [], Path(), chosen)
        bottle = Bottle(stack, args)

        def keep(resolved: dict[str, Any]) -> None:
            outputs.update(resolved)

        return pulumi.Output.all(**bottle.outputs).apply(keep)

    register()
    return recorder, outputs


def is_secret(value: Any) -> bool:
    """True if the engine would keep this input encrypted."""
    return isinstance(value, dict) and SECRET_SIGNATURE in value
