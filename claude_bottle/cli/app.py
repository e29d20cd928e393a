"""The `bottle` command: one list of commands, and one place where refusals are reported."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

try:
    import typer
    from typer.core import TyperGroup
except ImportError:  # the environment is older than the checkout
    sys.exit("the Python environment of this checkout does not match its lock: run make setup")

from claude_bottle.cli import agent, ask, audit, callback, files, lifecycle, machine, secret
from claude_bottle.cli.common import DONE, FAILED, USAGE, enter_project, say
from claude_bottle.host.stack_names import UnknownBottleError

HELP = """Sandboxes for coding agents that cannot leak a credential: one stack file, one bottle.

Exit codes: 0 done; 1 refused or failed; 2 wrong usage, such as a name that no bottle has; 3 nothing to do.
`exec` ends with the code of the command it ran.
"""
_DAILY = "init secret up plan check attach exec callback resume pull logs ask audit"
ORDER = f"{_DAILY} fleet dashboard down repair forget convert doctor prune update"


class Verbs(TyperGroup):
    """Lists the commands in the order of their use, and reports refusals in one place, without a traceback."""

    def list_commands(self, _: Any) -> list[str]:
        order = ORDER.split()
        return sorted(self.commands, key=order.index)

    def invoke(self, ctx: Any) -> Any:
        from claude_bottle.policy.errors import BottleError
        from toolchain.shell import SetupError

        try:
            code = super().invoke(ctx)
        except SetupError as error:
            say(f"set-up stopped: {error}")
            code = FAILED
        except BottleError as error:
            say(str(error))
            code = USAGE if isinstance(error, UnknownBottleError) else FAILED
        except BrokenPipeError:  # the reader has closed; avoid a second error when the rest is flushed
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = DONE
        except (OSError, subprocess.SubprocessError) as error:
            say(str(error))
            code = FAILED
        except KeyboardInterrupt:
            code = 130
        raise typer.Exit(code if isinstance(code, int) else DONE)


app = typer.Typer(
    cls=Verbs,
    help=HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they would print local variables, which may hold a token
    context_settings={"help_option_names": ["-h", "--help"]},
)

for verbs in (files.app, secret.app, lifecycle.app, agent.app, callback.app, machine.app):
    app.add_typer(verbs)
app.add_typer(ask.app, name="ask")
app.add_typer(audit.app, name="audit")


@app.callback()
def _root() -> None:
    """Only there so that the help is the command's, whatever the number of verbs."""


def main() -> None:
    """Entry point, also for the console scripts."""
    if "_BOTTLE_COMPLETE" not in os.environ:  # set by typer for shell completion
        enter_project()
    app(prog_name="bottle")
