"""The Pulumi program: one stack is one bottle. Everything is checked before the first resource is registered."""

from __future__ import annotations

import gc
import os
import resource
import sys
from collections.abc import Collection
from pathlib import Path

import pulumi

from claude_bottle.engines.docker.host_routes import ways_of_the_machine
from claude_bottle.engines.docker.live.drift import Drift
from claude_bottle.engines.docker.machine import Machine
from claude_bottle.engines.docker.resources.provider_engine import provider_engine
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.own_command import own_command

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold tokens
gc.disable()  # the program runs for a second, and the collector would take a sixth of it


def main(stack: str) -> None:
    """Register the bottle of a stack, or raise BottleError before anything is registered."""
    # From here on, every query goes to the engine that the provider uses.
    os.environ.update(provider_engine())
    machine = Machine(stack)
    # These imports take about as long as the machine's answers.
    from claude_bottle.engines.docker.resources.engine import DockerEngine
    from claude_bottle.host.checkout import here
    from claude_bottle.host.machine_roots import advice, not_named
    from claude_bottle.host.stack_names import STACKS
    from components.bottle import Bottle, BottleArgs
    from components.program import read_manifest, secret_tokens

    config = pulumi.Config("claude-bottle")
    base = Path.cwd() / STACKS  # the folder of the stack files, to which their relative file names refer
    examined = read_manifest(config, stack, base, machine)
    tokens = secret_tokens(config, examined.readable)
    config_of = examined.readable.pipelock
    if (examined.readable.routed or config_of.allow) and (files := not_named(config_of.ca_files, base)):
        pulumi.log.warn(advice(files))
    drifts = machine.drifts()
    tell_of_drift(stack, drifts.values())
    engine = DockerEngine(machine.own_images(), machine.subnets(), ways_of_the_machine(), drifts)
    brought = (examined.readable, tokens, examined.copies, examined.remotes, base, engine, here(Path.cwd()))
    bottle = Bottle(stack, BottleArgs(stack, *brought))
    for output, value in bottle.outputs.items():
        pulumi.export(output, value)
    if pulumi.runtime.is_dry_run() and examined.copies.workspace is not None and machine.last_checkout():
        pulumi.log.info(
            f"pulumi destroy deletes work that was not pulled, and does not ask; {own_command(f'down {stack}')} does"
        )


def tell_of_drift(stack: str, drifts: Collection[Drift]) -> None:
    """Warn of drift. An `up`, which repairs it, also writes each difference into the owner's audit log."""
    differences = [words for drift in drifts for words in drift.differences]
    for words in (*differences, *(drift.unseen for drift in drifts if drift.unseen)):
        pulumi.log.warn(f"drift: {words}")
    if not differences or pulumi.runtime.is_dry_run():
        return
    from claude_bottle.approvals.audit.log import Audit

    try:
        Audit(stack).append(*({"event": "drift", "found": words, "by": "pulumi up"} for words in differences))
    except (BottleError, OSError) as error:
        pulumi.log.warn(f"the audit log could not be written: {error}")


try:
    main(pulumi.get_stack())
except BottleError as error:
    pulumi.log.error(str(error))
    sys.exit(32)  # by this code the language host knows that the error was shown, and adds none of its own
