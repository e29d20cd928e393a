"""The agent: Claude Code and its tools. It reaches one proxy and holds no credential."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pulumi

from addons.egress.placeholders import placeholder
from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.declare import Fabric, HostMount, Running, Workload
from claude_bottle.engines.local_command import local_command
from claude_bottle.host.type_tokens import token
from claude_bottle.manifest.agent_env import program_env
from claude_bottle.manifest.model import AgentConfig
from claude_bottle.manifest.sizes import megabytes
from claude_bottle.policy.names.files import AGENT_HOME, WORKSPACE
from claude_bottle.workspace.copies import Workspace
from claude_bottle.workspace.git_mounts import folders_above

# MB of /dev/shm, where browsers keep pages: with the default of 64 they crash. Used pages count as the agent's memory.
SHARED_MEMORY = 1024
# Processes and threads. The machine has 32,768 in all by default (proc(5), pid_max), shared with its owner.
PROCESSES = 4096


def agent_env(
    proxy: str, literal: Mapping[str, str], *, placeholders: Iterable[str], supervise: bool
) -> dict[str, str]:
    """The agent's environment. proxy: host:port. placeholders: names of variables that stand for a credential.

    supervise: whether the model sees the tools of supervise from the start.
    """
    env = {
        **program_env(proxy),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    if supervise:
        # Claude Code hides tools of MCP servers from the model until it searches for them. The model should know the
        # tools of supervise when something is refused.
        env["ENABLE_TOOL_SEARCH"] = "false"
    return {**env, **{name: placeholder(name) for name in placeholders}, **literal}


@dataclass
class AgentArgs:
    """image: that the agent runs. proxy: host:port. workspace: to mount, or None. ready: must be up first."""

    config: AgentConfig
    env: Mapping[str, str]
    image: pulumi.Input[str]
    fabric: Fabric
    proxy: str
    placeholders: Iterable[str]
    supervise: bool
    workspace: Workspace | None
    ready: list[pulumi.Resource]


class Agent(pulumi.ComponentResource):
    """The agent's workload, with no route but its proxy, no name server, no capability and no token.

    Its home is a volume that outlives the workload, so a new image or limit keeps sessions and workspace.
    """

    running: Running

    def __init__(self, name: str, args: AgentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("Agent"), name, {}, formerly(opts, "agent:Agent"))
        ready = list(args.ready)
        if args.workspace is not None and args.workspace.git.missing:
            ready.append(empty_places(f"{name}-git-places", args.workspace, self))
        self.running = args.fabric.run(
            name,
            Workload(
                role="agent",
                image=args.image,
                memory=megabytes(args.config.memory),
                cpus=args.config.cpus,
                cpu_shares=512,  # so that the agent's load does not starve its sidecars
                env=agent_env(args.proxy, args.env, placeholders=args.placeholders, supervise=args.supervise),
                command=args.config.command or (),
                runtime=args.config.runtime,
                volumes={AGENT_HOME: "home"},
                host_mounts=workspace_mounts(args.workspace),
                disk=True,
                processes=PROCESSES,
                shared_memory=SHARED_MEMORY,
            ),
            pulumi.ResourceOptions(parent=self, depends_on=ready),
        )
        self.register_outputs({"container": self.running.created_name})


def workspace_mounts(workspace: Workspace | None) -> list[HostMount]:
    """The mounts of a mounted workspace. Each `.git` is read-only, because git runs what is written there."""
    if workspace is None or workspace.mode != "mount":
        return []
    places = sorted({*workspace.git.present, *workspace.git.missing})
    above = folders_above(places)  # each gets its own mount, because a mount point cannot be renamed
    return [
        HostMount(WORKSPACE, workspace.source),
        *(HostMount(f"{WORKSPACE}/{name}", f"{workspace.source}/{name}") for name in above),
        *(HostMount(f"{WORKSPACE}/{name}", f"{workspace.source}/{name}", read_only=True) for name in places),
    ]


def empty_places(name: str, workspace: Workspace, parent: pulumi.Resource) -> pulumi.Resource:
    """Creates the missing `.git` folders on the host, so that the agent cannot create them.

    They stay: git ignores an empty `.git`, and removing one would remove its mount from a running agent.
    """
    folders = [f"{workspace.source}/{place}" for place in workspace.git.missing]
    script = shlex.join(["exec", "mkdir", "-p", "--", *folders])
    triggers = [workspace.source, *workspace.git.missing]
    return local_command(name, script, {}, triggers, pulumi.ResourceOptions(parent=parent))
