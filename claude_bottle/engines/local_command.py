"""The one place where a command on the owner's machine becomes a resource: it sees only the variables it is given."""

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
    """Run `script`, which must be idempotent, again whenever something that it is given is new.

    triggers: a new one replaces the command; a new value elsewhere updates it.
    """
    # A step that fails is told with its `create`, and what it has printed: the script would hide that.
    environment = {**environment, _STEP: script}
    return command.local.Command(
        name,
        interpreter=interpreter(environment),
        create=CREATE,
        stdin=stdin,
        environment=environment,
        triggers=triggers,
        add_previous_output_in_env=False,
        # What they print is for the state: on a terminal it is a line of JSON, twice. A failure has all of it.
        logging=command.local.Logging.STDERR,
        opts=opts,
    )
