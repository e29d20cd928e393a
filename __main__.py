"""The Pulumi program: one stack is one bottle. Everything is checked before the first resource is registered."""

from __future__ import annotations

import gc
import resource
import sys

import pulumi

from claude_bottle.engines.chosen import ask_machine
from claude_bottle.policy.errors import BottleError

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold tokens
gc.disable()  # the program runs for a second, and the collector would take a sixth of it


def main(stack: str) -> None:
    """Register the bottle of a stack, or raise BottleError before anything is registered."""
    machine = ask_machine(stack)
    from components.program import run  # its imports, too, take about as long as the machine's answers

    drift = run(stack, machine)
    if drift and not pulumi.runtime.is_dry_run():  # an `up`, which repairs it
        from claude_bottle.approvals.audit.log import Audit

        try:
            Audit(stack).append(*({"event": "drift", "found": words, "by": "pulumi up"} for words in drift))
        except (BottleError, OSError) as error:
            pulumi.log.warn(f"the audit log could not be written: {error}")


try:
    main(pulumi.get_stack())
except BottleError as error:
    pulumi.log.error(str(error))
    sys.exit(32)  # by this code the language host knows that the error was shown, and adds none of its own
