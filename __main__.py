"""The Pulumi program: one stack is one bottle. Everything is checked before the first resource is registered."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pulumi

from components.errors import BottleError
from components.machine import Machine
from components.provider_engine import provider_engine

gc.disable()  # a program of one second, of which the collector would take a sixth


def main(stack: str) -> None:
    """Register the bottle of a stack, or raise BottleError before anything is registered."""
    # Whatever is asked of the engine from here on is asked of the one that the provider uses.
    os.environ.update(provider_engine())
    machine = Machine(stack)
    # Loading the rest takes as long as the answers.
    from components.bottle import Bottle, BottleArgs
    from components.program import read_manifest, secret_tokens

    config = pulumi.Config("claude-bottle")
    base = Path.cwd() / "stacks"  # beside the stack files, where their relative file names start
    found = read_manifest(config, stack, base, machine)
    tokens = secret_tokens(config, found.readable)
    there = (machine.own_images(), machine.subnets())
    bottle = Bottle(stack, BottleArgs(stack, found.readable, tokens, found.copies, found.remotes, base, *there))
    for output, value in bottle.outputs.items():
        pulumi.export(output, value)


try:
    main(pulumi.get_stack())
except BottleError as error:
    pulumi.log.error(str(error))
    sys.exit(32)  # tells the language host that the error has been shown; it adds none of its own
