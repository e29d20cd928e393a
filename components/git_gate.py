"""git-gate: the only way to push. Mirrors the declared upstreams, scans every commit, holds the owner's credentials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.declare import Fabric, Running, Workload
from claude_bottle.engines.sidecars import SIDECARS
from claude_bottle.host.git_remotes import GateRemote, remotes_file
from claude_bottle.host.type_tokens import token
from claude_bottle.policy.names.files import GATE_ETC, MIRRORS, RECORD


@dataclass
class GitGateArgs:
    """remotes: with their credentials. roots: PEM, or "".

    proxy: host:port of the forward proxy, or "". proxy_login: user:password for it.
    """

    fabric: Fabric
    remotes: Sequence[GateRemote]
    image: pulumi.Input[str]
    roots: str
    proxy: str = ""
    proxy_login: pulumi.Input[str] | None = None


class GitGate(pulumi.ComponentResource):
    """Serves only the agent. Keys and tokens are files of this workload and of no other."""

    running: Running
    ready: pulumi.Resource

    def __init__(self, name: str, args: GitGateArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("GitGate"), name, {}, formerly(opts, "git_gate:GitGate"))
        self.running = args.fabric.run(
            name,
            Workload(
                role="git-gate",
                image=args.image,
                memory=1024,
                # The daemon listens on this address only, and not on the outside network.
                env={"GATE_ADDRESS_NAME": args.fabric.own_name("git-gate", "agent")},
                files=self._files(args),
                volumes={MIRRORS: "mirrors", RECORD: "git-gate-record"},
                ready=SIDECARS["git-gate"].check,
                resolves_names=True,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.ready = self.running.ready(f"{name}-ready", self).resource
        self.register_outputs({"container": self.running.created_name})

    @staticmethod
    def _files(args: GitGateArgs) -> dict[str, pulumi.Input[str]]:
        files: dict[str, pulumi.Input[str]] = {f"{GATE_ETC}/remotes.json": remotes_file(args.remotes)}
        for remote in args.remotes:
            kind = "key" if remote.upstream.scheme == "ssh" else "token"
            files[f"{GATE_ETC}/{remote.name}.{kind}"] = pulumi.Output.secret(remote.secret)
            if kind == "key":
                files[f"{GATE_ETC}/{remote.name}.known_hosts"] = f"{remote.config.known_hosts}\n"
            if remote.rules:
                files[f"{GATE_ETC}/{remote.name}.rules.toml"] = remote.rules
        if args.proxy:
            files[f"{GATE_ETC}/proxy"] = args.proxy
        if args.proxy and args.proxy_login is not None:
            files[f"{GATE_ETC}/proxy.login"] = args.proxy_login
        if args.roots:
            files[f"{GATE_ETC}/upstream-roots.pem"] = args.roots
        return files
