"""The only place where a command on the owner's machine becomes a resource. It gets only the variables passed to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_command as command

from claude_bottle.host.child_env import interpreter

_STEP = "CLAUDE_BOTTLE_STEP"
CREATE = f'eval "${_STEP}"'


def local_command(
    name: str,
    script: str,
    environment: Mapping[str, pulumi.Input[str]],
    triggers: Sequence[Any],
    opts: pulumi.ResourceOptions,
    stdin: pulumi.Input[str] | None = None,
) -> command.local.Command:
    """Run `script`, which must be idempotent, and run it again whenever one of its inputs changes.

    triggers: a changed one replaces the command; any other changed input updates it.
    """
    # Pulumi reports a failed step with its `create` and its output. The script itself would bury that output.
    environment = {**environment, _STEP: script}
    return command.local.Command(
        name,
        interpreter=interpreter(environment),
        create=CREATE,
        stdin=stdin,
        environment=environment,
        triggers=triggers,
        add_previous_output_in_env=False,
        # The output is for the state: on a terminal it would be a line of JSON, twice. A failure shows all of it.
        logging=command.local.Logging.STDERR,
        opts=opts,
    )
