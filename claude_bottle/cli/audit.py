"""Commands for the record of every decision."""

from __future__ import annotations

import subprocess
from pathlib import Path

import typer

from claude_bottle.cli.common import DONE, Json, print_json, say
from claude_bottle.cli.names import PastName

app = typer.Typer(no_args_is_help=True, help="Read and check the record of every decision.")


@app.command(epilog="Example: bottle audit show demo --json")
def show(name: PastName, as_json: Json = False) -> int:
    """Show every record, oldest first."""
    from claude_bottle.approvals.audit.log import Audit, summary

    _bring_up_to_date(name)
    if as_json:
        print_json(list(Audit(name).records()))
    else:
        print("\n".join(summary(Audit(name).records())) or "nothing is recorded")
    return DONE


@app.command(epilog="Example: bottle audit verify demo")
def verify(name: PastName) -> int:
    """Check that no record was changed, removed or inserted."""
    from claude_bottle.approvals.audit.log import Audit

    _bring_up_to_date(name)
    log = Audit(name)
    count, head = log.verify()
    print(f"{log.file}: {count} records, the chain is intact; its head: {head}")
    return DONE


@app.command("collect", epilog="Example: bottle audit collect demo")
def collect_(name: PastName) -> int:
    """Collect the records of the parts of a running bottle."""
    from claude_bottle.approvals.audit.collect import collect
    from claude_bottle.approvals.audit.log import Audit

    count = collect(name, Path.cwd())
    print(f"{count} records of {name} collected into {Audit(name).file}")
    return DONE


def collect_last(name: str) -> None:
    """Collect what the parts have recorded until the end of the agent, which is stopped. Raises BottleError."""
    from claude_bottle.engines.chosen import open_client
    from claude_bottle.policy.errors import BottleError

    try:
        open_client(name).stop("agent", 2)
        collect_(name)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BottleError(f"the last records of {name} could not be collected: {error}") from None


def _bring_up_to_date(name: str) -> None:
    """Collect before the log is read. If a part does not answer, only report it."""
    from claude_bottle.approvals.audit.collect import collect
    from claude_bottle.policy.errors import BottleError

    try:
        collect(name, Path.cwd())
    except BottleError as error:
        say(f"only the records collected earlier are shown: {error}")
