"""A step on the engine as a resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_command as command

from claude_bottle.engines.docker.resources.provider_engine import provider_engine
from claude_bottle.engines.local_command import local_command


def engine_step(
    name: str, step: str, given: Mapping[str, Any], triggers: Sequence[Any], opts: pulumi.ResourceOptions
) -> command.local.Command:
    """step: a module of claude_bottle/engines/docker/steps, which gets `given`.

    A new trigger replaces the resource, any other new input runs the step again.
    """
    script = f"exec python3 -m claude_bottle.engines.docker.steps {step}"
    return local_command(name, script, provider_engine(), triggers, opts, pulumi.Output.json_dumps(given))
