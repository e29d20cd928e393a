"""The manifest: the stack config object `claude-bottle:bottle` as a strict typed model. Pure, parsed before anything.

`python -m components.manifest schema` prints the JSON Schema of a stack file, which editors use to complete it.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from addons.egress_core import DEFAULT_METHODS, checked_path
from addons.hosts import canonical_pattern
from addons.injection import auth_header

DEFAULT_PASSTHROUGH = ["api.anthropic.com"]
_TOKEN_REF = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_METHOD = re.compile(r"[A-Z]{1,20}\Z")
# The reserved names point the agent at its proxy and its CA: a literal value would take it round them.
RESERVED_ENV = frozenset(
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"]
)


def _host(value: str) -> str:
    try:
        return canonical_pattern(value)
    except ValueError as error:
        raise ValueError(
            f"{error}; write an exact name (api.example.com) or a leading wildcard (*.example.com)"
        ) from None


def _path(value: str) -> str:
    if checked_path(value) != value:
        raise ValueError("write a plain absolute path prefix (/repos/acme), without dot segments or percent encoding")
    return value


def _method(value: str) -> str:
    if not _METHOD.match(value.upper()) or value.upper() in ("CONNECT", "TRACE"):
        raise ValueError(f"not a method that a route can allow; usual ones: {', '.join(DEFAULT_METHODS)}")
    return value.upper()


def _token_ref(value: str) -> str:
    if not _TOKEN_REF.match(value):
        raise ValueError("write the name of a secret (GITHUB_TOKEN), never its value")
    return value


def _auth_scheme(value: str) -> str:
    if not auth_header(value):
        raise ValueError("write bearer, basic or header:<Name>")
    return value


def _memory(value: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]*[mg]", value):
        raise ValueError("write megabytes or gigabytes (2g, 512m)")
    return value


Host = Annotated[str, AfterValidator(_host)]
Memory = Annotated[str, AfterValidator(_memory)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class AgentConfig(_Strict):
    """The agent's container."""

    image: str | None = Field(
        None, description="Image to run instead of the project's own; it needs the user node (uid 1000)."
    )
    dockerfile: str | None = Field(None, description="Dockerfile to build the agent from; its folder is the context.")
    command: list[str] | None = Field(None, description="What the container runs; default: it waits for docker exec.")
    memory: Memory = Field("4g", description="Memory limit; there is no swap beyond it.")
    cpus: float = Field(2.0, gt=0, le=256, description="CPU limit, in cores.")

    @model_validator(mode="after")
    def _one_source(self) -> AgentConfig:
        if self.image and self.dockerfile:
            raise ValueError("give image or dockerfile, not both")
        return self


class EgressRoute(_Strict):
    """One way out: a host, and what may be asked of it."""

    host: Host = Field(description="Exact host name, or *. and a name for everything below it.")
    path: list[Annotated[str, AfterValidator(_path)]] = Field([], description="Path prefixes; empty: every path.")
    methods: list[Annotated[str, AfterValidator(_method)]] = Field(
        list(DEFAULT_METHODS), min_length=1, description="HTTP methods."
    )
    auth_scheme: Annotated[str, AfterValidator(_auth_scheme)] | None = Field(
        None, description="How the token goes in: bearer (default), basic, header:<Name>."
    )
    token_ref: Annotated[str, AfterValidator(_token_ref)] | None = Field(
        None, description="Name of the secret that egress puts in: a secret of the stack, else a variable of the host."
    )
    description: str = Field("", max_length=200, description="For people and for the agent.")

    @model_validator(mode="after")
    def _credential(self) -> EgressRoute:
        if self.auth_scheme and not self.token_ref:
            raise ValueError("auth_scheme needs a token_ref")
        if self.token_ref and self.host.startswith("*."):
            raise ValueError("a token goes to an exact host only, for anyone may own a name below a wildcard")
        return self

    @property
    def scheme(self) -> str | None:
        """auth_scheme with its default."""
        return (self.auth_scheme or "bearer") if self.token_ref else None


class EgressConfig(_Strict):
    """What the agent may reach."""

    routes: list[EgressRoute] = Field([], description="The declared ways out; everything else is refused.")


class DlpPattern(_Strict):
    """A pattern of the owner's own secrets."""

    name: str = Field(pattern=r"^[A-Za-z0-9 _.-]{1,60}$", description="Shown in refusals.")
    regex: str = Field(min_length=4, description="RE2 expression.")


class DlpConfig(_Strict):
    """What the DLP engine looks for."""

    patterns: list[DlpPattern] = Field([], description="Patterns beside the built-in rules.")
    disabled_rules: list[str] = Field([], description="Ids of gitleaks rules to leave out (builtin engine).")
    seed_phrases: bool = Field(
        True, description="Look for BIP-39 seed phrases; off when a route targets api.anthropic.com."
    )
    max_body_mb: int = Field(20, ge=1, le=256, description="Larger bodies are scanned as a stream.")


class PipelockConfig(_Strict):
    """The outbound allowlist and DLP."""

    engine: Literal["builtin", "upstream"] = Field(
        "builtin", description="The project's own engine or the official image."
    )
    image: str | None = Field(None, description="For engine upstream: the official image, pinned (…@sha256:…).")
    allow: list[Host] = Field([], description="Hosts beyond those of the routes.")
    passthrough: list[Host] = Field(DEFAULT_PASSTHROUGH, description="Hosts whose TLS is not opened: no DLP there.")
    trusted: list[Host] = Field([], description="Names that may resolve to internal addresses.")
    upstream_roots: list[str] = Field([], description="PEM files of roots to trust outside, besides the public ones.")
    dlp: DlpConfig = Field(DlpConfig(), description="DLP options.")

    @model_validator(mode="after")
    def _pinned(self) -> PipelockConfig:
        if self.engine == "upstream" and not re.search(r"@sha256:[0-9a-f]{64}\Z", self.image or ""):
            raise ValueError("engine upstream needs an image pinned by digest (name:tag@sha256:…)")
        if self.engine == "builtin" and self.image:
            raise ValueError("image belongs to engine upstream")
        return self


class NetworkConfig(_Strict):
    """The way to the outside."""

    outside: str | None = Field(None, description="Existing Docker network to use; default: one of the bottle's own.")


class Manifest(_Strict):
    """One bottle."""

    agent: AgentConfig = AgentConfig()
    env: dict[str, str] = Field({}, description="Literal environment of the agent; never a credential.")
    egress: EgressConfig = EgressConfig()
    pipelock: PipelockConfig = PipelockConfig()
    network: NetworkConfig = NetworkConfig()


def stack_file_schema() -> dict[str, Any]:
    """JSON Schema of a stack file that holds a bottle."""
    bottle = Manifest.model_json_schema()
    definitions = bottle.pop("$defs")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "claude-bottle stack file",
        "type": "object",
        "properties": {"config": {"type": "object", "properties": {"claude-bottle:bottle": bottle}}},
        "$defs": definitions,
    }


if __name__ == "__main__":
    if sys.argv[1:] != ["schema"]:
        sys.exit("usage: python -m components.manifest schema")
    print(json.dumps(stack_file_schema(), indent=2))
