"""The agent's container: Claude Code and its tools, with one proxy in reach and no credential."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pulumi
import pulumi_command as command
import pulumi_docker as docker

from addons.egress.placeholders import placeholder
from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.docker.address import prefix
from claude_bottle.engines.docker.naming import docker_name
from claude_bottle.engines.docker.resources.container import ContainerArgs, hardened_container
from claude_bottle.engines.docker.resources.provider_engine import provider_engine
from claude_bottle.engines.docker.resources.volume import named_volume
from claude_bottle.engines.local_command import local_command
from claude_bottle.host.type_tokens import token
from claude_bottle.manifest.agent_env import program_env
from claude_bottle.manifest.model import AgentConfig
from claude_bottle.manifest.sizes import megabytes
from claude_bottle.workspace.agent_files import WORKSPACE
from claude_bottle.workspace.copies import WorkspaceCopy
from claude_bottle.workspace.git_mounts import folders_above

HOME = "/home/node"
CA_NAME = "claude-bottle-mitm-ca.crt"
CA_FILE = f"/usr/local/share/ca-certificates/{CA_NAME}"
# MB of /dev/shm, which browsers keep pages in: with Docker's 64 they crash. What is used counts as the agent's memory.
SHARED_MEMORY = 1024


def agent_env(
    proxy: str, literal: Mapping[str, str], *, placeholders: Iterable[str], supervise: bool
) -> dict[str, str]:
    """The agent's environment. proxy: host:port. placeholders: names of variables that stand for a credential.

    supervise: show its tools to the model at once.
    """
    env = {
        **program_env(proxy),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    if supervise:
        # Claude Code leaves tools of MCP servers out of the model's sight until it searches for them; these four are
        # what it should think of when something is refused.
        env["ENABLE_TOOL_SEARCH"] = "false"
    return {**env, **{name: placeholder(name) for name in placeholders}, **literal}


@dataclass
class AgentArgs:
    """image: what it runs. proxy: host:port. workspace: a folder to mount, or None. ready: what must be up."""

    stack: str
    config: AgentConfig
    env: Mapping[str, str]
    image: pulumi.Input[str]
    network: pulumi.Input[str]
    proxy: str
    placeholders: Iterable[str]
    supervise: bool
    dns: str
    workspace: WorkspaceCopy | None
    ready: list[pulumi.Resource]


class Agent(pulumi.ComponentResource):
    """On the agent network only; has no route but its proxy, no name server, no capability, no token.

    Its home is a volume that outlives the container: a new image or limit keeps sessions and workspace.
    """

    container: docker.Container
    container_name: str
    networks: list[tuple[pulumi.Input[str], str]]
    home: str
    attach: str

    def __init__(self, name: str, args: AgentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("Agent"), name, {}, formerly(opts, "agent:Agent"))
        self.container_name = docker_name("agent", args.stack)
        self.home = docker_name("home", args.stack)
        home = named_volume(f"{name}-home", "home", args.stack, self)
        self.networks = [(args.network, "agent")]
        ready = list(args.ready)
        if args.workspace is not None and args.workspace.git.missing:
            ready.append(empty_places(f"{name}-git-places", args.workspace, self))
        self.container = hardened_container(
            f"{name}-container",
            ContainerArgs(
                role="agent",
                stack=args.stack,
                image=args.image,
                networks=self.networks,
                memory=megabytes(args.config.memory),
                cpus=args.config.cpus,
                cpu_shares=512,  # what the agent asks for must not keep its sidecars from answering
                env=agent_env(args.proxy, args.env, placeholders=args.placeholders, supervise=args.supervise),
                command=args.config.command,
                runtime=args.config.runtime,
                mounts=[
                    docker.ContainerMountArgs(type="volume", target=HOME, source=home.name),
                    *workspace_mounts(args.workspace),
                ],
                dns=[args.dns],
                shm=SHARED_MEMORY,
            ),
            pulumi.ResourceOptions(parent=self, depends_on=ready),
        )
        self.attach = f"{prefix(provider_engine())}docker exec -it -u node {self.container_name} claude"
        self.register_outputs({"container": self.container.name})


def workspace_mounts(workspace: WorkspaceCopy | None) -> list[docker.ContainerMountArgs]:
    """The bind mounts of a mounted workspace. Each `.git` is read-only: what the agent writes there, git runs."""
    if workspace is None or workspace.mode != "mount":
        return []
    made = [docker.ContainerMountArgs(type="bind", target=WORKSPACE, source=workspace.source)]
    places = sorted({*workspace.git.there, *workspace.git.missing})
    for name in folders_above(places):  # a mount of its own cannot be renamed
        source = f"{workspace.source}/{name}"
        made.append(docker.ContainerMountArgs(type="bind", target=f"{WORKSPACE}/{name}", source=source))
    for name in places:
        place = docker.ContainerMountArgs(
            type="bind", target=f"{WORKSPACE}/{name}", source=f"{workspace.source}/{name}", read_only=True
        )
        made.append(place)
    return made


# They stay, for git takes an empty `.git` for none, and to remove one would take its mount out of a running container.
_MAKE = 'cd "$FOLDER"; printf "%s\\n" "$PLACES" | while IFS= read -r place; do mkdir -p -- "$place"; done'


def empty_places(name: str, workspace: WorkspaceCopy, parent: pulumi.Resource) -> command.local.Command:
    """Makes the folders that the agent must not be the one to make."""
    environment = {"FOLDER": workspace.source, "PLACES": "\n".join(workspace.git.missing)}
    triggers = [workspace.source, *workspace.git.missing]
    return local_command(name, _MAKE, environment, triggers, pulumi.ResourceOptions(parent=parent))
