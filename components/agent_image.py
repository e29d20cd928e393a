"""The agent's image: the project's own, a named one, or one built from the owner's Dockerfile. Packages go on top."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pulumi

from claude_bottle import ROOT
from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.declare import Engine, ImageBuild, Text
from claude_bottle.engines.images.build_context import digest
from claude_bottle.host.type_tokens import token
from claude_bottle.manifest.model import AgentConfig
from components.images import extra_roots, tag

_LAYER = "sidecar_images/agent/packages.Dockerfile"


def base_name(config: AgentConfig, base: Path) -> str:
    """Name of the image without packages. base: folder of a relative Dockerfile."""
    if config.image:
        return config.image
    if config.dockerfile:
        file = (base / config.dockerfile).resolve()
        return f"claude-bottle/agent-own:{digest(file, file.parent, exact_modes=True)[:16]}"
    return tag("agent")


def image_name(config: AgentConfig, base: Path) -> str:
    """Name of the image that the agent runs. With packages, its tag is a hash of all its sources."""
    under = base_name(config, base)
    if not (config.apt or config.npm):
        return under
    made_from = json.dumps(
        [under, sorted(config.apt), sorted(config.npm), digest(ROOT / _LAYER, ROOT, exact_modes=False)]
    )
    return f"claude-bottle/agent-packages:{hashlib.sha256(made_from.encode()).hexdigest()[:16]}"


def _context(config: AgentConfig, base: Path) -> Path:
    return (base / (config.dockerfile or "")).resolve().parent


@dataclass
class AgentImageArgs:
    """own: the project's own image, unless the manifest names another. base: folder of relative file names."""

    engine: Engine
    config: AgentConfig
    own: pulumi.Output[str] | None
    base: Path


class AgentImage(pulumi.ComponentResource):
    """`id` is the image id. The images outlive the stack, because other stacks may use them."""

    id: pulumi.Output[str]

    def __init__(self, name: str, args: AgentImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            token("AgentImage"), name, {}, formerly(opts, "agent_image:AgentImage", name.removesuffix("-image"))
        )
        config, under, engine = args.config, base_name(args.config, args.base), args.engine
        if args.own is not None:
            below = args.own
        elif config.image:
            below = engine.fetched(f"{name}-given", under, self).id
        else:
            context, file = _context(config, args.base), Path(config.dockerfile or "").name
            below = engine.built(f"{name}-own", under, ImageBuild(str(context), file), self).id
        self.id = below
        if config.apt or config.npm:
            arguments: dict[str, Text] = {
                "BASE": below.apply(lambda _: under),  # by name, once the image exists
                "APT": " ".join(sorted(config.apt)),
                "NPM": " ".join(sorted(config.npm)),
                "EXTRA_ROOTS": extra_roots(),
            }
            build = ImageBuild(str(ROOT), _LAYER, arguments)
            self.id = engine.built(f"{name}-packages", image_name(config, args.base), build, self).id
        self.register_outputs({})
