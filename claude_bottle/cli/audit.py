"""Commands for the record of every decision."""

from __future__ import annotations

from pathlib import Path

import typer

from claude_bottle.cli.common import DONE, Json, print_json
from claude_bottle.cli.names import PastName

app = typer.Typer(no_args_is_help=True, help="Read and check the record of every decision.")


def _dashboard(what: str, name: str) -> int:
    from dashboard.__main__ import main

    return main(["audit", what, "-s", name])


@app.command(epilog="Example: bottle audit show demo --json")
def show(name: PastName, as_json: Json = False) -> int:
    """Show every record, oldest first."""
    if not as_json:
        return _dashboard("show", name)
    from claude_bottle.approvals.audit.log import Audit
    from dashboard.__main__ import take_over

    take_over(name, Path.cwd())
    print_json(list(Audit(name).records()))
    return DONE


@app.command(epilog="Example: bottle audit verify demo")
def verify(name: PastName) -> int:
    """Check that no record was changed, removed or inserted."""
    return _dashboard("verify", name)


@app.command(epilog="Example: bottle audit collect demo")
def collect(name: PastName) -> int:
    """Collect the records of the parts of a running bottle."""
    return _dashboard("collect", name)
