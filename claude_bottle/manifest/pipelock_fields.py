"""The pipelock section of the manifest: hosts that may be dialled, and DLP settings. Pure."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from claude_bottle.manifest.fields import Host, InnerNetwork, PatternName, Plain, ProxyUrl, Strict, TokenRef, Until

DEFAULT_PASSTHROUGH = ["api.anthropic.com"]


Reaction = Literal["block", "redact", "ask"]


class DlpPattern(Strict):
    """A pattern of the owner's own secrets."""

    name: PatternName = Field(description="Shown in refusals.")
    regex: str = Field(min_length=4, description="RE2 expression.")


class DlpHost(Strict):
    """What the DLP engine does otherwise for one host."""

    disabled_rules: list[Plain] = Field([], description="Ids of rules to disable for requests to this host.")
    on_match: Reaction | None = Field(
        None,
        description="Action on a request with a finding in its body (builtin engine). block: refuse it. redact: mask"
        " the finding and send it. ask: hold it for your answer. Default: block, but redact for a model's"
        " conversations.",
    )


class DlpConfig(Strict):
    """What the DLP engine looks for."""

    patterns: list[DlpPattern] = Field([], description="Patterns besides the built-in rules.")
    disabled_rules: list[Plain] = Field(
        [], description="Ids of rules to disable, gitleaks' or the project's (builtin engine)."
    )
    packs: list[Literal["crypto", "payment", "placeholders"]] = Field(
        [],
        description="What to detect besides credentials: wallet keys and addresses; cards and IBANs; examples from"
        " vendors' documents (builtin engine).",
    )
    hosts: dict[Host, DlpHost] = Field({}, description="Settings for one host, or for *. and a name (builtin engine).")
    seed_phrases: bool = Field(
        True, description="Detect BIP-39 seed phrases; off when a route targets api.anthropic.com."
    )
    max_body_mb: int = Field(
        20, ge=1, le=256, description="Larger bodies are scanned as a stream; pipelock's memory grows with this size."
    )


class AllowedHost(Strict):
    """A host that pipelock lets through."""

    host: Host = Field(description="Exact host name, or *. and a name for everything below it.")
    until: Until | None = Field(None, description="UTC time at which it ends by itself (builtin engine).")


def _allowed(value: object) -> object:
    return {"host": value} if isinstance(value, str) else value


def _no_word(value: object) -> object:
    return "off" if value is False else value  # YAML 1.1 reads `off` as false


class PipelockConfig(Strict):
    """The outbound allowlist and DLP."""

    engine: Literal["builtin", "upstream"] = Field(
        "builtin", description="The project's own engine or the official image."
    )
    image: Plain | None = Field(None, description="For engine upstream: the official image, pinned (…@sha256:…).")
    allow: list[Annotated[AllowedHost, BeforeValidator(_allowed, json_schema_input_type=AllowedHost | str)]] = Field(
        [], description="Hosts beyond those of the routes; a name alone is the same as {host: name}."
    )
    passthrough: list[Host] = Field(DEFAULT_PASSTHROUGH, description="Hosts whose TLS is not decrypted: no DLP there.")
    allow_private_addresses: list[Host] = Field([], description="Names that may resolve to internal addresses.")
    internal_exempt: list[InnerNetwork] = Field(
        [],
        description="Networks whose addresses every name may resolve to (builtin engine): 198.18.0.0/15 where a proxy"
        " in fake-ip mode answers every name. Never loopback, link-local, metadata, nor the bottle's own networks.",
    )
    upstream_proxy: ProxyUrl | None = Field(
        None,
        description="Forward proxy of your network, through which pipelock and git-gate connect (CONNECT; builtin"
        " engine). It resolves names that do not resolve here, except names below a wildcard.",
    )
    upstream_proxy_ref: TokenRef | None = Field(
        None, description="Name of the secret with its login, user:password; only pipelock and git-gate get it."
    )
    ca_files: list[Plain] = Field([], description="PEM files of roots to trust for upstreams, besides the public ones.")
    crl_files: list[Plain] = Field(
        [], description="PEM files of CRLs: upstreams with a certificate that they revoke are refused."
    )
    dlp: DlpConfig = Field(DlpConfig(), description="DLP options.")
    inbound: Annotated[Literal["off", "warn", "block"], BeforeValidator(_no_word)] = Field(
        "off",
        description="Scan answers for instructions to the agent (builtin engine). warn: add a header and a line in the"
        " log; block: refuse the answer. It catches only naive ones.",
    )

    @model_validator(mode="after")
    def _pinned(self) -> PipelockConfig:
        if self.engine == "upstream" and not re.search(r"@sha256:[0-9a-f]{64}\Z", self.image or ""):
            raise ValueError("engine upstream needs an image pinned by digest; write image: name:tag@sha256:…")
        if self.engine == "builtin" and self.image:
            raise ValueError("image belongs to engine upstream; remove it, or write engine: upstream")
        if self.engine == "upstream" and any(item.until for item in self.allow):
            raise ValueError("engine upstream cannot end a permission by itself; remove until")
        if self.engine == "upstream" and (self.dlp.packs or self.dlp.hosts):
            raise ValueError("engine upstream has neither packs nor rules for one host; remove dlp.packs and dlp.hosts")
        if self.engine == "upstream" and self.internal_exempt:
            raise ValueError("engine upstream does not know the bottle's own networks; remove internal_exempt")
        if self.upstream_proxy_ref and not self.upstream_proxy:
            raise ValueError(
                "upstream_proxy_ref needs upstream_proxy; write upstream_proxy: http://proxy.example.com:3128"
            )
        if self.engine == "upstream" and self.upstream_proxy:
            raise ValueError("engine upstream connects by itself; remove upstream_proxy, or write engine: builtin")
        if self.engine == "upstream" and self.inbound != "off":
            raise ValueError("engine upstream scans answers by its own rules; remove inbound")
        return self
