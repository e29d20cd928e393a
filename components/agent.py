"""The agent's container: Claude Code and its tools, with one proxy in reach and no credential."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_docker as docker

from components.container import ContainerArgs, hardened_container, megabytes
from components.egress_plan import CLAUDE_TOKEN
from components.images import content_digest
from components.manifest import AgentConfig
from components.naming import docker_name

CA_NAME = "claude-bottle-mitm-ca.crt"
CA_FILE = f"/usr/local/share/ca-certificates/{CA_NAME}"
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
PLACEHOLDER = "placeholder-the-real-one-is-put-in-by-egress"


def agent_env(proxy: str, literal: Mapping[str, str], *, claude: bool) -> dict[str, str]:
    """The agent's environment. proxy: host:port. claude: give Claude Code a placeholder credential."""
    url, local = f"http://{proxy}", "localhost,127.0.0.1,::1,git-gate,supervise"
    env = {
        **{key: url for name in ("HTTP_PROXY", "HTTPS_PROXY") for key in (name, name.lower())},
        **dict.fromkeys(("NO_PROXY", "no_proxy"), local),
        # Programs differ in where they look for roots; all of these name the bundle that the agent's CA is put in.
        **dict.fromkeys(("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), CA_BUNDLE),
        **dict.fromkeys(("CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT"), CA_BUNDLE),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    if claude:
        env[CLAUDE_TOKEN] = PLACEHOLDER
    return {**env, **literal}


@dataclass
class AgentArgs:
    """image: id of the project's own image, or None for the manifest's. proxy: host:port. ready: what must be up."""

    stack: str
    config: AgentConfig
    env: Mapping[str, str]
    image: pulumi.Input[str] | None
    network: pulumi.Input[str]
    proxy: str
    claude: bool
    dns: str
    base: Path
    ready: list[pulumi.Resource]


class Agent(pulumi.ComponentResource):
    """On the agent network only; has no route but its proxy, no name server, no capability, no token."""

    container: docker.Container
    container_name: str
    attach: str

    def __init__(self, name: str, args: AgentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("claude-bottle:agent:Agent", name, {}, opts)
        self.container_name = docker_name("agent", args.stack)
        self.container = hardened_container(
            f"{name}-container",
            ContainerArgs(
                role="agent",
                stack=args.stack,
                image=args.image if args.image is not None else self._own_image(name, args.config, args.base),
                networks=[(args.network, "agent")],
                memory=megabytes(args.config.memory),
                cpus=args.config.cpus,
                env=agent_env(args.proxy, args.env, claude=args.claude),
                command=args.config.command,
                dns=[args.dns],
            ),
            pulumi.ResourceOptions(parent=self, depends_on=args.ready),
        )
        self.attach = f"docker exec -it -u node {self.container_name} claude"
        self.register_outputs({"container": self.container.name})

    def _own_image(self, name: str, config: AgentConfig, base: Path) -> pulumi.Output[str]:
        child = pulumi.ResourceOptions(parent=self)
        if config.image:
            return docker.RemoteImage(f"{name}-image", name=config.image, keep_locally=True, opts=child).image_id
        file = (base / (config.dockerfile or "")).resolve()
        digest = content_digest((".",), file.parent)[:16]
        return docker.RemoteImage(
            f"{name}-image-{digest}",
            name=f"claude-bottle/agent-own:{digest}",
            keep_locally=True,
            build=docker.RemoteImageBuildArgs(context=str(file.parent), dockerfile=file.name),
            opts=child,
        ).image_id
