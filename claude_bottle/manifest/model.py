"""The manifest: the stack config object `claude-bottle:bottle` as a strict typed model. Pure.

`make docs` writes its JSON Schema and its documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, create_model, model_validator

from claude_bottle.manifest.fields import (
    AptPackage,
    Argument,
    GitUrl,
    Host,
    Memory,
    NetworkName,
    NpmPackage,
    Plain,
    RemoteName,
    Runtime,
    Skill,
    Strict,
    SubnetPool,
    TokenRef,
    TokenUser,
)
from claude_bottle.manifest.key_fields import key_fields
from claude_bottle.manifest.pipelock_fields import PipelockConfig
from claude_bottle.manifest.route_model import EgressRoute
from claude_bottle.policy.declared.push_policy import KEYS as PUSH_KEYS
from claude_bottle.policy.names.git_upstream import Upstream


class AgentConfig(Strict):
    """The agent's container."""

    image: Plain | None = Field(
        None, description="Image to run instead of the project's own; it needs the user node (uid 1000)."
    )
    dockerfile: Plain | None = Field(None, description="Dockerfile to build the agent from; its folder is the context.")
    apt: list[AptPackage] = Field(
        [], description="Debian packages to add to the agent, in an image layer of their own."
    )
    npm: list[NpmPackage] = Field([], description="npm packages to add, globally; their install scripts are not run.")
    command: list[Argument] | None = Field(
        None, description="Command of the container; default: it waits for docker exec."
    )
    memory: Memory = Field("4g", description="Memory limit; there is no swap beyond it.")
    cpus: float = Field(2.0, gt=0, le=256, description="CPU limit, in cores.")
    runtime: Runtime | None = Field(None, description="Runtime of the engine to run it in (gVisor: runsc).")

    @model_validator(mode="after")
    def _one_source(self) -> AgentConfig:
        if self.image and self.dockerfile:
            raise ValueError("write image or dockerfile, not both")
        return self


class EgressConfig(Strict):
    """What the agent may reach; with this key and no route, nothing."""

    routes: list[EgressRoute] = Field([], description="The declared destinations; everything else is refused.")


class PromptConfig(Strict):
    """Text that the agent gets at the start of every session."""

    text: str | None = Field(None, min_length=1, description="The prompt itself; `prompt: some words` is the same.")
    file: Plain | None = Field(None, min_length=1, description="A text file, relative to the stack file.")

    @model_validator(mode="after")
    def _one_source(self) -> PromptConfig:
        if (self.text is None) == (self.file is None):
            raise ValueError("write either text or file: {text: Answer in French.} or {file: prompt.md}")
        return self


class WorkspaceConfig(Strict):
    """A folder of the host to work on."""

    path: Plain = Field(min_length=1, description="The folder, relative to the stack file; ~ is your home.")
    mode: Literal["copy", "mount"] = Field(
        "copy",
        description="copy: the agent works on a copy, bottle pull brings it back. mount: it writes to the folder.",
    )
    copy_git: bool = Field(False, description="With copy: also its .git, so that the agent can commit.")

    @model_validator(mode="after")
    def _git_is_copied(self) -> WorkspaceConfig:
        if self.copy_git and self.mode == "mount":
            raise ValueError(
                "copy_git belongs to mode copy; remove it, or write mode: copy (a mounted .git is read-only)"
            )
        return self


def _prompt(value: object) -> object:
    return {"text": value} if isinstance(value, str) else value


class _Upstream(Strict):
    """Where a repository is, and how git-gate authenticates there."""

    name: RemoteName = Field(description="Served as git://git-gate/<name>.git.")
    upstream: GitUrl = Field(description="ssh://git@host/path.git, git@host:path.git or https://host/path.git.")
    identity_file: Plain | None = Field(None, description="ssh: the private key to push with; only git-gate gets it.")
    token_ref: TokenRef | None = Field(
        None, description="https: name of the secret to push with; only git-gate gets it."
    )
    token_user: TokenUser | None = Field(
        None,
        description="https: the user name that goes with the token; default: that of the upstream "
        "(https://me@host/path), or x-access-token. Bitbucket: x-token-auth; Gerrit and CodeCommit: your user name.",
    )
    known_hosts: str | None = Field(
        None, description="ssh: lines of known_hosts; a host is never trusted on first use."
    )


if TYPE_CHECKING:

    class _PushPolicy(_Upstream):
        """What the owner's side reads by name; the fields are those of PUSH_KEYS."""

        branches: list[str]

else:
    _PushPolicy = create_model("_PushPolicy", __base__=_Upstream, **key_fields(PUSH_KEYS))


class GitRemote(_PushPolicy):
    """A repository that the agent may fetch from and push to, through git-gate."""

    gitleaks_config: Plain | None = Field(
        None, description="gitleaks rules of your own (TOML), in place of the default ones."
    )

    @model_validator(mode="after")
    def _one_credential(self) -> GitRemote:
        if self.identity_file and self.token_ref:
            raise ValueError("give identity_file (ssh) or token_ref (https), not both")
        upstream = Upstream.parse(self.upstream)
        if self.token_user and upstream.scheme == "https" and upstream.user not in ("", self.token_user):
            raise ValueError(f"token_user and the upstream name two users: {self.token_user} and {upstream.user}")
        return self


class NetworkConfig(Strict):
    """The way to the outside."""

    external: NetworkName | None = Field(
        None, description="Existing Docker network to use; default: one of the bottle's own."
    )
    pool: SubnetPool | None = Field(
        None,
        description="Private network from which the bottle's subnets are taken, /24 or larger; default: 198.18.0.0/15.",
    )


PresetName = Literal["python", "node", "go", "rust", "java", "debian", "github"]


class Use(Strict):
    """What a preset stands for (docs/presets.md)."""

    name: PresetName = Field(description="Name of the preset. Without hosts, the name alone is the same as {name: …}.")
    hosts: list[Host] = Field(
        [], description="Hosts of its packages, for a machine without the client that reports them."
    )


def _used(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


UseEntry = Annotated[Use, BeforeValidator(_used, json_schema_input_type=Use | PresetName)]


class Manifest(Strict):
    """One bottle."""

    use: list[UseEntry] = Field(
        [], description="Presets: routes to read packages by, the tools for them, variables (docs/presets.md)."
    )
    agent: AgentConfig = AgentConfig()
    env: dict[str, str] = Field({}, description="Literal environment of the agent; never a credential.")
    prompt: Annotated[PromptConfig, BeforeValidator(_prompt, json_schema_input_type=PromptConfig | str)] | None = Field(
        None, description="Text that the agent gets at the start of every session."
    )
    skills: list[Skill] = Field(
        [], description="Skill folders to copy: a name (below ~/.claude/skills of the host) or a path with a slash."
    )
    workspace: WorkspaceConfig | None = Field(None, description="The folder to work on; default: an empty one.")
    egress: EgressConfig = EgressConfig()
    pipelock: PipelockConfig = PipelockConfig()
    git: list[GitRemote] = Field([], description="Repositories to fetch from and push to, through git-gate.")
    supervise: bool = Field(
        True, description="Whether the agent can ask you for access, packages and resources (MCP tools)."
    )
    network: NetworkConfig = NetworkConfig()

    @model_validator(mode="after")
    def _who_is_asked(self) -> Manifest:
        if not self.supervise and any(one.on_match == "ask" for one in self.pipelock.dlp.hosts.values()):
            raise ValueError("pipelock.dlp.hosts: on_match: ask needs supervise: true, which asks you")
        return self

    @property
    def routed(self) -> bool:
        """Whether there is an egress: if the file has the key `egress`, even without a live route."""
        return "egress" in self.model_fields_set
