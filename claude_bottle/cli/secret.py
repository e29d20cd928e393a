"""The tokens of a bottle: typed or piped in, and encrypted in the stack file."""

from __future__ import annotations

from typing import Annotated

import typer

from claude_bottle.cli.names import FileName

app = typer.Typer()


@app.command(epilog="Example: bottle secret demo GITHUB_TOKEN   (then type or paste its value)")
def secret(
    name: FileName,
    ref: Annotated[str, typer.Argument(metavar="SECRET", help="Its name, as token_ref names it; never its value.")],
) -> int:
    """Store a token for a bottle, encrypted: asks for its value, or reads it from standard input."""
    from claude_bottle.host import pulumi_stack
    from claude_bottle.manifest.fields import is_token_name
    from claude_bottle.policy.errors import BottleError

    if not is_token_name(ref):  # not repeated: it may be the value
        raise BottleError(
            "the second word is not a name of a secret; write one like GITHUB_TOKEN, and the value after that"
        )
    pulumi_stack.create(name)
    return pulumi_stack.set_secret(name, ref)
