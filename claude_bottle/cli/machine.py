"""Commands for this machine and all bottles on it."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from claude_bottle import INSTALLED
from claude_bottle.cli.common import DONE, FAILED, NOTHING, Json, print_json, say
from claude_bottle.policy.own_command import own_command

app = typer.Typer()


@app.command(epilog="Example: bottle doctor --json")
def doctor(as_json: Json = False) -> int:
    """Report what this machine has, what is missing or old, and how to get it."""
    from toolchain import __main__ as toolchain
    from toolchain.step import examine

    if not as_json:
        return toolchain.doctor()
    reports = examine(toolchain.steps(dev=False))
    missing = [report for report in reports if report.present is None]
    with contextlib.redirect_stdout(sys.stderr):
        old = [] if missing else toolchain.upkeep()
    parts = [{"name": report.name, "found": report.present, "how": report.how} for report in reports]
    print_json({"parts": parts, "missing": len(missing), "old": old})
    return FAILED if missing else DONE


@app.command(epilog="Example: bottle dashboard --port 0")
def dashboard(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of loopback; 0: a free one.")] = 7690,
) -> int:
    """Serve the owner's page on loopback, and print the address to open."""
    from dashboard.server import serve  # importing it takes half a second

    serve(Path.cwd(), port)
    return DONE


@app.command(epilog="Example: bottle fleet --json")
def fleet(as_json: Json = False) -> int:
    """List every bottle of the checkout and of its engines, with the health of its parts."""
    from claude_bottle.engines.chosen import running_bottles
    from claude_bottle.host.stack_names import STACKS, stack_names
    from dashboard.shown import by_stack

    project = Path.cwd()
    running, problems = running_bottles(project)
    bottles = by_stack(running, stack_names(project / STACKS), project)
    for problem in problems:
        say(problem)
    if as_json:
        print_json({"bottles": [_with_engine(bottle) for bottle in bottles.values()], "problems": problems})
    else:
        _table([_with_engine(bottle) for bottle in bottles.values()])
    return FAILED if problems else DONE


def _with_engine(bottle: dict[str, Any]) -> dict[str, Any]:
    from claude_bottle.engines.chosen import address_of
    from claude_bottle.policy.errors import BottleError

    try:
        return {**bottle, "engine": address_of(bottle["stack"])}
    except BottleError:
        return {**bottle, "engine": None}


def _table(bottles: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from claude_bottle.policy.errors import one_line

    table = Table("bottle", "parts", "engine")
    for bottle in bottles:
        parts = ", ".join(f"{part['role']} {part['health']}" for part in bottle["parts"]) or "not up"
        name = bottle["stack"] if bottle["declared"] else f"{bottle['stack']} (no stack file here)"
        table.add_row(*(Text(one_line(word)) for word in (name, parts, bottle["engine"] or "this machine's")))
    Console(highlight=False, width=None if sys.stdout.isatty() else 120).print(table)


@app.command(epilog="Example: bottle prune --dry-run")
def prune(
    dry: Annotated[bool, typer.Option("--dry-run", help="Only show what would be deleted.")] = False,
    as_json: Json = False,
) -> int:
    """Delete this project's images that no bottle uses and this checkout would not build again, and no others."""
    from claude_bottle.engines.chosen import hosts
    from claude_bottle.policy.errors import one_line
    from claude_bottle.upkeep import old_images

    keep, failed, listed = old_images.wanted(), False, []
    engines, problems = hosts(Path.cwd())
    for host, engine in engines.items():
        old = old_images.look(engine, keep)
        refused = [] if dry else old_images.remove(engine, old)
        listed += [{"engine": host or None, "image": name} for name in old.names]
        if not as_json:
            where = f" on {host}" if host else ""
            done = f"; {own_command('prune')} deletes them" if dry else "; deleted"
            print("\n".join([*map(one_line, old.names), f"{old.words}{where}{done if old.names else ''}"]))
        for line in refused:
            say(line)
        failed = failed or bool(refused)
    for problem in problems:
        say(problem)
    if as_json:
        print_json({"images": listed, "deleted": not dry, "problems": problems})
    return FAILED if failed or problems else DONE if listed else NOTHING


@app.command(epilog="Example: bottle update")
def update(
    back: Annotated[bool, typer.Option("--back", help="Roll back the last update.")] = False,
) -> int:
    """Pin newer versions of what the images are made of, build them, and show what changed."""
    from claude_bottle.policy.errors import BottleError
    from toolchain import update as newer

    if INSTALLED:
        raise BottleError("the versions are those of this release: uv tool upgrade (or pipx upgrade) claude-bottle")
    return newer.back() if back else newer.update()
