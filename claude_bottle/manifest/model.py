"""The manifest: the stack config object `claude-bottle:bottle` as a strict typed model. Pure, parsed before anything.

`python -m claude_bottle.cli.manifest_tool --help`: its JSON Schema, its documentation, the conversion of old files.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from claude_bottle.manifest.fields import (
    AptPackage,
    Argument,
    AuthScheme,
    EnvName,
    FindingDigest,
    ForgeCapability,
    FsckCheck,
    GitUrl,
    HeaderName,
    Host,
    Memory,
    Method,
    NetworkName,
    NpmPackage,
    Plain,
    PushOption,
    RefGlob,
    RemoteName,
    RepositoryName,
    Runtime,
    Skill,
    Strict,
    SubnetPool,
    TokenRef,
    TokenUser,
    Until,
    UrlPath,
)
from claude_bottle.manifest.pipelock_fields import PipelockConfig
from claude_bottle.policy.names.git_upstream import Upstream
from claude_bottle.policy.routes.follow import LINKS, READS
from claude_bottle.policy.routes.table import DEFAULT_METHODS


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
        None, description="What the container runs; default: it waits for docker exec."
    )
    memory: Memory = Field("4g", description="Memory limit; there is no swap beyond it.")
    cpus: float = Field(2.0, gt=0, le=256, description="CPU limit, in cores.")
    runtime: Runtime | None = Field(None, description="Runtime of the engine to run it in (gVisor: runsc).")

    @model_validator(mode="after")
    def _one_source(self) -> AgentConfig:
        if self.image and self.dockerfile:
            raise ValueError("write image or dockerfile, not both")
        return self


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


Follow = Literal["links", "redirects"]


def _followed(value: object) -> object:
    return {True: LINKS, False: None}[value] if isinstance(value, bool) else value


class EgressRoute(Strict):
    """One way out: a host, and what may be asked of it."""

    host: Host = Field(description="Exact host name, or *. and a name for everything below it.")
    path: list[UrlPath] = Field([], description="Path prefixes; empty: every path.")
    methods: list[Method] = Field(list(DEFAULT_METHODS), min_length=1, description="HTTP methods.")
    auth_scheme: AuthScheme | None = Field(
        None, description="How the token goes in: bearer (default), basic, header:<Name>, aws-sigv4:<region>/<service>."
    )
    token_ref: TokenRef | None = Field(
        None, description="Name of the secret that egress puts in: a secret of the stack, else a variable of the host."
    )
    placeholder: Annotated[list[EnvName], BeforeValidator(_several, json_schema_input_type=list[EnvName] | EnvName)] = (
        Field(
            [],
            max_length=20,
            description="Variables of the agent that hold a placeholder, for programs that want a token to start;"
            " egress puts the token in its place. One name alone is the same as a list of it.",
        )
    )
    own_credentials: Literal["refuse", "pass"] = Field(
        "refuse",
        description="What becomes of a request with another credential than a placeholder, where a token is put in."
        " pass: it goes with its own, so with somebody else's account at that host, and without yours.",
    )
    description: Plain = Field("", max_length=200, description="For people and for the agent.")
    until: Until | None = Field(
        None, description="UTC time at which the route ends by itself; it then refuses, in its place."
    )
    allow_headers: list[HeaderName] = Field(
        [], description="Headers to let through that are refused or taken out otherwise (docs/headers.md)."
    )
    allow_ranges: bool = Field(
        False,
        description="Let Range through where a token is put in: its slices can hold parts of an echoed token, or all of"
        " it where the answer is packed.",
    )
    follow: Annotated[Follow | None, BeforeValidator(_followed, json_schema_input_type=Follow | bool)] = Field(
        None,
        description="Read what its answers point to on hosts without a route: exactly those addresses, GET and HEAD,"
        " without a credential (docs/presets.md). links, or true: what their text names and their redirects;"
        " redirects: these alone.",
    )

    forge: list[ForgeCapability] = Field(
        [], description="What may be done to a forge past git-gate (docs/forges.md): merge, releases, pipelines, …"
    )

    repositories: list[RepositoryName] = Field(
        [],
        max_length=50,
        description="Repositories of GitHub that GraphQL may name on this route; its path is then that of GraphQL alone"
        " (docs/forges.md). Empty: any that the token reaches.",
    )

    @model_validator(mode="after")
    def _credential(self) -> EgressRoute:
        if self.auth_scheme and not self.token_ref:
            raise ValueError("auth_scheme needs a token_ref; write token_ref: GITHUB_TOKEN, or take auth_scheme out")
        if self.token_ref and self.host.startswith("*."):
            raise ValueError(
                "a token goes to an exact host only (host: api.example.com), for others may own a name below *."
            )
        if self.placeholder and not self.token_ref:
            raise ValueError("placeholder needs a token_ref, because egress puts that token in its place")
        if self.follow and not set(self.methods) <= {*READS}:
            raise ValueError(
                "write methods: [GET, HEAD] beside follow, so that no answer holds what the agent wrote there"
            )
        if self.repositories and not (self.path and all("graphql" in path.lower() for path in self.path)):
            raise ValueError(
                "repositories is for GraphQL: write path: [/graphql] on this route, and the rest on a route of its own,"
                " where path holds REST to a repository"
            )
        if self.follow and self.token_ref:
            raise ValueError(
                "follow is for routes without token_ref, whose answers anybody gets; write one or the other"
            )
        return self

    @property
    def scheme(self) -> str | None:
        """auth_scheme with its default."""
        return (self.auth_scheme or "bearer") if self.token_ref else None


class EgressConfig(Strict):
    """What the agent may reach; with this key and no route, nothing."""

    routes: list[EgressRoute] = Field([], description="The declared ways out; everything else is refused.")


class PromptConfig(Strict):
    """What the agent is told at the start of every session."""

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
                "copy_git belongs to mode copy; take it out, or write mode: copy (a mounted .git is read-only)"
            )
        return self


def _prompt(value: object) -> object:
    return {"text": value} if isinstance(value, str) else value


class GitRemote(Strict):
    """A repository that the agent may fetch from and push to, through git-gate."""

    name: RemoteName = Field(description="Served as git://git-gate/<name>.git.")
    upstream: GitUrl = Field(description="ssh://git@host/path.git, git@host:path.git or https://host/path.git.")
    identity_file: Plain | None = Field(None, description="ssh: the private key to push with; only git-gate gets it.")
    token_ref: TokenRef | None = Field(
        None, description="https: name of the secret to push with; only git-gate gets it."
    )
    token_user: TokenUser | None = Field(
        None,
        description="https: the user name that goes with the token; default: that of the upstream "
        "(https://me@host/path), or x-access-token. Bitbucket: x-token-auth; Gerrit and CodeCommit: a name of yours.",
    )
    known_hosts: str | None = Field(
        None, description="ssh: lines of known_hosts; a host is never trusted on first use."
    )
    branches: list[RefGlob] = Field(
        ["*"], min_length=1, description="What may be pushed: globs of branches, or of whole refs (refs/tags/v*)."
    )
    force: Literal["never", "allow"] = Field(
        "never", description="Whether a push may rewrite what is there; a tag that is moved is rewritten."
    )
    deletes: Literal["never", "allow"] = Field("never", description="Whether a push may delete.")
    max_push_mb: int = Field(100, ge=1, le=4096, description="Largest push.")
    max_blob_mb: int = Field(20, ge=1, le=1024, description="Largest single file.")
    push_options: list[PushOption] = Field(
        [], description="What may be sent with git push -o: exactly that, or NAME=* for any value; by default nothing."
    )
    review: bool = Field(False, description="Refuse every push until you have approved exactly that one.")
    known_findings: list[FindingDigest] = Field(
        [], max_length=500, description="Values that are no secrets here, by the digests that a refused push is told."
    )
    allow_fsck: list[FsckCheck] = Field(
        [],
        description="Checks of git-fsck(1) that new objects may fail here, for old histories; never those of attacks.",
    )
    rules: Plain | None = Field(None, description="gitleaks rules of your own (TOML), in place of the default ones.")

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

    outside: NetworkName | None = Field(
        None, description="Existing Docker network to use; default: one of the bottle's own."
    )
    pool: SubnetPool | None = Field(
        None,
        description="Private network from which the bottle's subnets are taken, /24 or larger; default: 198.18.0.0/15.",
    )


PresetName = Literal["python", "node", "go", "rust", "java", "debian", "github"]


class Use(Strict):
    """What a preset stands for (docs/presets.md)."""

    name: PresetName = Field(description="Which preset; the name alone is the same, where no hosts are named.")
    hosts: list[Host] = Field(
        [], description="Where its packages are, for a machine without the client that would be asked."
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
        None, description="What the agent is told at the start of every session."
    )
    skills: list[Skill] = Field(
        [], description="Skill folders to copy: a name (below ~/.claude/skills of the host) or a path with a slash."
    )
    workspace: WorkspaceConfig | None = Field(None, description="The folder to work on; default: an empty one.")
    egress: EgressConfig = EgressConfig()
    pipelock: PipelockConfig = PipelockConfig()
    git: list[GitRemote] = Field([], description="Repositories to fetch from and push to, through git-gate.")
    supervise: bool = Field(True, description="Whether the agent can ask you for what was refused (MCP tools).")
    network: NetworkConfig = NetworkConfig()

    @model_validator(mode="after")
    def _who_is_asked(self) -> Manifest:
        if not self.supervise and any(one.on_match == "ask" for one in self.pipelock.dlp.hosts.values()):
            raise ValueError("pipelock.dlp.hosts: on_match: ask needs supervise: true, which puts the question to you")
        return self

    @property
    def routed(self) -> bool:
        """Whether there is an egress: where the file has the key, with or without a route that has not ended."""
        return "egress" in self.model_fields_set
