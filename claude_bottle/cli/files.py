"""Commands for stack files: a new one, a converted one of the original tool, and checks."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from claude_bottle.cli.common import DONE, FAILED, Json, given_path, print_json, say
from claude_bottle.cli.names import complete
from claude_bottle.cli.template import TOOLS, Wishes, stack_file
from claude_bottle.host.stack_names import STACKS, UnknownBottleError, declared, look_up, stack_path
from claude_bottle.policy.own_command import own_command
from claude_bottle.project import provide_project

if TYPE_CHECKING:
    from claude_bottle.cli.stack_check import Checked

app = typer.Typer()


def _use(value: str | None) -> str | None:
    if value and value not in TOOLS:
        raise typer.BadParameter(f"{value!r} is none of {', '.join(TOOLS)}")
    return value


@app.command(epilog="Example: bottle init demo --use python --repo https://git.example.com/acme/project.git")
def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the new bottle.")],
    use: Annotated[str | None, typer.Option(help=f"Tools to have in it: {', '.join(TOOLS)}.", callback=_use)] = None,
    repo: Annotated[str | None, typer.Option(metavar="URL", help="A repository to fetch from and push to.")] = None,
    workspace: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="A folder of yours to work on a copy of.")
    ] = None,
    model: Annotated[
        bool | None, typer.Option("--model/--no-model", help="Whether Claude Code reaches its model, with your token.")
    ] = None,
) -> int:
    """Write the stack file of a new bottle, with comments; asks where no option is given."""
    from claude_bottle.host.stack_names import is_stack_name
    from claude_bottle.policy.errors import BottleError

    if not is_stack_name(name):
        raise UnknownBottleError(f"{name[:60]!r} is not a name of a bottle: letters, digits, `_`, `.`, `-`")
    file = stack_path(name)
    if file.exists():
        raise BottleError(f"{file} already exists and is left unchanged; {own_command(f'up {name}')}")
    if (use, repo, workspace, model) == (None, None, None, None) and _can_ask():
        use, repo, workspace, model = _ask()
    folder = given_path(workspace).resolve() if workspace else None
    has_git = folder is not None and (folder / ".git").is_dir()
    wishes = Wishes(use or "", repo or "", str(folder or ""), has_git, model is not False)
    text = _checked(name, wishes)
    provide_project()
    _write(file, text)
    say(f"{file} is yours to edit; then: {own_command(f'plan {name}')}, {own_command(f'up {name}')}")
    return DONE


def _can_ask() -> bool:
    return sys.stdin.isatty()


def _ask() -> tuple[str, str, str, bool]:
    use = typer.prompt(f"Tools in it ({', '.join(TOOLS)}; empty: none)", default="", show_default=False)
    if use and use not in TOOLS:
        raise typer.BadParameter(f"{use!r} is none of {', '.join(TOOLS)}")
    repo = typer.prompt("Repository to fetch from and push to (a git URL; empty: none)", default="", show_default=False)
    folder = typer.prompt("Folder to work on a copy of (empty: none)", default="", show_default=False)
    return use, repo, folder, typer.confirm("Does Claude Code reach its model, with your token?", default=True)


def _checked(name: str, wishes: Wishes) -> str:
    """The text of the file. Raises BottleError if the manifest's own checks find a problem in it."""
    from claude_bottle.cli.stack_check import findings
    from claude_bottle.policy.errors import BottleError

    try:
        text = stack_file(name, wishes)
    except ValueError as error:
        raise BottleError(f"--repo: {error}") from None
    if wrong := findings(text, STACKS, stack=name, ask_machine=False):
        raise BottleError("nothing was written:\n" + "\n".join(f"  {line}" for line in wrong))
    return text


def _write(file: Path, text: str) -> None:
    """Create a new file. Raises BottleError if it exists."""
    from claude_bottle.policy.errors import BottleError

    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        raise BottleError(f"{file} already exists and is left unchanged") from None


@app.command(epilog="Example: bottle convert old.json --out stacks")
def convert(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON with `bottles` and `agents`.")],
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where to write; default: stacks.")] = None,
) -> int:
    """Turn a file of the original command-line tool into stack files, without overwriting existing ones."""
    from claude_bottle.cli import legacy_convert
    from claude_bottle.policy.errors import BottleError

    try:
        texts = legacy_convert.convert(json.loads(given_path(file).read_text()))
    except OSError as error:
        raise BottleError(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise BottleError(f"{file}: not JSON: {error}") from None
    _write_all(texts, given_path(out) if out else STACKS)
    print(f"read the comments at the top of each; then: {own_command('plan NAME')}")
    return DONE


def _write_all(texts: Mapping[str, str], folder: Path) -> None:
    """texts: by stack. Raises BottleError, and writes nothing, if one of the files exists."""
    from claude_bottle.policy.errors import BottleError

    targets = {stack_path(stack, folder): text for stack, text in texts.items()}
    existing = [str(target) for target in targets if target.exists()]
    if existing:
        raise BottleError(
            f"nothing was written, because these already exist: {', '.join(existing)}; move them, or name another --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for target, text in targets.items():
        target.write_text(text)
        print(f"wrote {target}")


@app.command(epilog="Example: bottle check demo")
def check(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]…", autocompletion=complete)] = None,
    as_json: Json = False,
) -> int:
    """Check stack files (default: all) without the engine and without Pulumi; exits with 1 on errors."""
    from claude_bottle.cli import stack_check

    wanted = names or sorted(declared())
    for name in wanted:
        look_up(name, declared())
    by_name = {name: stack_check.check(_text(name), STACKS, stack=name) for name in wanted}
    if as_json:
        print_json([{"stack": name, **asdict(checked)} for name, checked in by_name.items()])
    else:
        _tell(by_name)
    return FAILED if any(checked.findings for checked in by_name.values()) else DONE


def _text(name: str) -> str:
    return stack_path(name).read_text(encoding="utf-8", errors="replace")


def _tell(by_name: dict[str, Checked]) -> None:
    from claude_bottle.policy.errors import printable

    for name, checked in by_name.items():
        wrong = checked.findings
        print(f"{name}: {f'{len(wrong)} to fix' if wrong else 'in order'}")
        for line in (*wrong, *checked.hints):
            print(printable(f"  {line}"))
