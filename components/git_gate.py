"""git-gate: the only way to push. Mirrors the declared upstreams, scans every commit, holds the owner's credentials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker

from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.docker.drift import Drift
from claude_bottle.engines.docker.live import SIDECARS
from claude_bottle.engines.docker.naming import docker_name
from claude_bottle.engines.docker.resources.container import RECORD, ContainerArgs, hardened_container
from claude_bottle.engines.docker.resources.container_command import ReadyArgs, ready_command
from claude_bottle.engines.docker.resources.volume import named_volume
from claude_bottle.host.git_remotes import GateRemote, remotes_file
from claude_bottle.host.type_tokens import token

GIT_GATE_HOSTNAME = "git-gate"
_ETC = "/etc/git-gate"

_HEALTHY = SIDECARS["git-gate"].check


@dataclass
class GitGateArgs:
    """remotes: with their credentials. outside: the network that leads to the upstreams. roots: PEM, or "".

    proxy: host:port of the forward proxy, or ""; proxy_login: user:password at it.
    """

    stack: str
    remotes: Sequence[GateRemote]
    image: pulumi.Input[str]
    agent_network: pulumi.Input[str]
    outside: pulumi.Input[str]
    roots: str
    proxy: str = ""
    proxy_login: pulumi.Input[str] | None = None
    drift: Drift = field(default_factory=Drift)


class GitGate(pulumi.ComponentResource):
    """Serves the agent network only; keys and tokens are files of this container and of nothing else."""

    container: docker.Container
    container_name: str
    networks: list[tuple[pulumi.Input[str], str]]
    ready: pulumi.Resource

    def __init__(self, name: str, args: GitGateArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("GitGate"), name, {}, formerly(opts, "git_gate:GitGate"))
        self.container_name = docker_name("git-gate", args.stack)
        mirrors = named_volume(f"{name}-mirrors", "mirrors", args.stack, self)
        record = named_volume(f"{name}-record", "git-gate-record", args.stack, self)
        self.networks = [(args.agent_network, GIT_GATE_HOSTNAME), (args.outside, f"git-gate-{args.stack}")]
        self.container = hardened_container(
            f"{name}-container",
            ContainerArgs(
                role="git-gate",
                stack=args.stack,
                image=args.image,
                networks=self.networks,
                memory=1024,
                # Docker's own name server knows an alias by network: the daemon listens there and not outside.
                env={"GATE_ADDRESS_NAME": pulumi.Output.concat(GIT_GATE_HOSTNAME, ".", args.agent_network)},
                files=self._files(args),
                mounts=[
                    docker.ContainerMountArgs(type="volume", target="/srv/git", source=mirrors.name),
                    docker.ContainerMountArgs(type="volume", target=RECORD, source=record.name),
                ],
                healthcheck=_HEALTHY,
                mended=args.drift.mended,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        ready = ReadyArgs("git-gate", self.container, self.container_name, _HEALTHY, args.drift)
        self.ready = ready_command(f"{name}-ready", ready, self)
        self.register_outputs({"container": self.container.name})

    @staticmethod
    def _files(args: GitGateArgs) -> dict[str, pulumi.Input[str]]:
        files: dict[str, pulumi.Input[str]] = {f"{_ETC}/remotes.json": remotes_file(args.remotes)}
        for remote in args.remotes:
            kind = "key" if remote.upstream.scheme == "ssh" else "token"
            files[f"{_ETC}/{remote.name}.{kind}"] = pulumi.Output.secret(remote.secret)
            if kind == "key":
                files[f"{_ETC}/{remote.name}.known_hosts"] = f"{remote.config.known_hosts}\n"
            if remote.rules:
                files[f"{_ETC}/{remote.name}.rules.toml"] = remote.rules
        if args.proxy:
            files[f"{_ETC}/proxy"] = args.proxy
        if args.proxy and args.proxy_login is not None:
            files[f"{_ETC}/proxy.login"] = args.proxy_login
        if args.roots:
            files[f"{_ETC}/upstream-roots.pem"] = args.roots
        return files
