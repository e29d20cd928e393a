"""The Pulumi program: one stack is one bottle. Everything is checked before the first resource is registered."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pulumi

from components.bottle import Bottle, BottleArgs
from components.container_command import provider_engine
from components.engine import Engine
from components.errors import BottleError
from components.program import read_manifest, secret_tokens

config = pulumi.Config("claude-bottle")
base = Path.cwd() / "stacks"  # beside the stack files, where their relative file names start
try:
    # Whatever is asked of the engine from here on is asked of the one that the provider uses.
    os.environ.update(provider_engine())
    found = read_manifest(config, pulumi.get_stack(), base)
except BottleError as error:
    pulumi.log.error(str(error))
    sys.exit(32)  # tells the language host that the error has been shown; it adds none of its own

stack = pulumi.get_stack()
tokens = secret_tokens(config, found.readable)
there = Engine()
parts = (found.readable, tokens, found.copies, found.remotes, base, there.own_images(), there.subnets())
bottle = Bottle(stack, BottleArgs(stack, *parts))
for output, value in bottle.outputs.items():
    pulumi.export(output, value)
