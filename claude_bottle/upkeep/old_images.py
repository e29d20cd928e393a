"""Images of this project that nothing uses any more, and their size. With `-m`, prints a line if they are large.

Images are recognised by name only, because an image built on one of ours carries its labels too.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from claude_bottle.engines.chosen import open_host
from claude_bottle.engines.client import Host
from claude_bottle.engines.images.base_image import BaseLock
from claude_bottle.engines.pulumi_state import resources_in_state
from claude_bottle.host.local_backend import local_backend
from claude_bottle.host.stack_names import STACKS, declared, in_state, stack_path
from claude_bottle.host.stack_text import read_config
from claude_bottle.manifest.model import AgentConfig
from claude_bottle.manifest.words import BOTTLE
from claude_bottle.policy.errors import BottleError, one_line
from claude_bottle.policy.names.roles import ROLES
from claude_bottle.policy.own_command import own_command
from claude_bottle.presets.use import without_answers
from components.agent_image import base_name, image_name
from components.images import tag

_NAME = re.compile(r"claude-bottle/(?:base|agent|agent-own|agent-packages|proxy|git-gate|supervise):[0-9a-f]{16}\b")
MUCH = 3_000_000_000  # bytes


@dataclass(frozen=True)
class OldImages:
    """names: of images that can be deleted, sorted. size: bytes that this frees."""

    names: list[str]
    size: int

    @property
    def words(self) -> str:
        """The number and size, in words."""
        count = len(self.names)
        return f"{count} unused image{'s' if count != 1 else ''}, {self.size / 1e9:.1f} GB"


def wanted(stacks: Path = STACKS) -> set[str]:
    """Images that this checkout would build, or that a stack known to Pulumi has. Raises BottleError if unsure."""
    names = {tag(role) for role in ROLES} | {BaseLock.read().tag}
    for stack in sorted(declared()):
        names |= _of_stack_file(stack_path(stack, stacks), stacks)
    known = in_state()
    for stack in sorted(known):
        names |= set(_NAME.findall(json.dumps(resources_in_state(stack))))
    if local_backend() is None and not known:
        raise BottleError("Pulumi did not list its stacks (pulumi stack ls), so no image is known to be unused")
    return names


def _of_stack_file(file: Path, base: Path) -> set[str]:
    try:
        bottle = without_answers(read_config(file.read_text()).get(BOTTLE))
        config = AgentConfig.model_validate((bottle if isinstance(bottle, Mapping) else {}).get("agent") or {})
        return {base_name(config, base), image_name(config, base)}
    except (OSError, BottleError, ValidationError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise BottleError(
            f"{file}: the images it needs are unknown ({why}); {own_command('check')} reports the details"
        ) from None


def look(engine: Host, keep: Iterable[str]) -> OldImages:
    """The images on this engine that need not be kept and that no workload uses, running or not."""
    here = {name: name for name in engine.own_images() if _NAME.fullmatch(name)}
    used = engine.images_in_use()
    ids = dict(zip(here, engine.image_ids(list(here)), strict=True))
    old = sorted(name for name in here if name not in set(keep) and ids[name] not in used)
    layers = {name: engine.layers(name) for name in here}
    kept = {key for name in here if name not in old for key in layers[name]}
    gone = {key: size for name in old for key, size in layers[name].items() if key not in kept}
    return OldImages(old, sum(gone.values()))


def remove(engine: Host, old: OldImages) -> list[str]:
    """Delete the images, top layers first. Returns a line for each that the engine refuses because it is in use."""
    refused = []
    for name in sorted(old.names, key=lambda one: not one.startswith("claude-bottle/agent-packages:")):
        try:
            engine.remove_image(name)
        except BottleError as error:
            refused.append(f"{name} stays: {error}")
    return refused


def main() -> int:
    """Entry point, for `make doctor`."""
    try:
        old = look(open_host(), wanted())
    except BottleError:
        return 0  # an optional check reports no errors
    if old.size >= MUCH:
        print(one_line(f"{old.words}; {own_command('prune')} deletes them"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
