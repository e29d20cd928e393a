"""The last step of a log-in that a program in the bottle has started: its response is in the owner's browser."""

from __future__ import annotations

import io
import sys
import tempfile
from typing import Annotated
from urllib.parse import urlsplit

import typer

from claude_bottle.cli.common import DONE, FAILED, say
from claude_bottle.cli.names import Name
from claude_bottle.policy.own_command import own_command

app = typer.Typer()
# curl of the agent's image. The address contains a code, so it is passed on standard input and not as an argument.
_CURL = ["curl", "--silent", "--show-error", "--max-time", "30", "--noproxy", "*", "--output", "/dev/null"]
_CURL += ["--globoff", "--write-out", "%{http_code}", "--config", "-"]
_MOST = 4096  # bytes of the bottle's output
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@app.command(epilog="Example: bottle callback demo   (then paste the address of the page that did not load)")
def callback(
    name: Name,
    url: Annotated[
        str | None, typer.Argument(metavar="[URL]", help="http://localhost:PORT/…; asked for where it is left out.")
    ] = None,
) -> int:
    """Finish a log-in (OAuth) that a program in the bottle waits for, with the address that your browser ended at."""
    from claude_bottle.approvals.resume import is_running
    from claude_bottle.engines.chosen import open_client
    from claude_bottle.host.bounded import run_bounded
    from claude_bottle.policy.errors import BottleError, one_line

    if not is_running(name):
        raise BottleError(f"{name} is not up; {own_command(f'up {name}')}")
    address = checked(url or _ask())
    command = open_client(name).inside("agent", _CURL)
    out = io.BytesIO()
    with tempfile.TemporaryFile() as config:
        config.write(f'url = "{address}"\n'.encode())
        config.seek(0)
        try:
            run_bounded(command.argv, "curl", stdin=config, out=out, seconds=40, most=_MOST, env=command.env)
        except BottleError as error:
            message = one_line(str(error))[-200:]
            raise BottleError(f"nothing in {name} answered at port {urlsplit(address).port}: {message}") from None
    status = out.getvalue().decode(errors="replace").strip()
    if not status.isdigit() or len(status) != 3:
        raise BottleError(f"{name} did not report the answer")
    say(f"{name} answered {status}")
    return DONE if status[0] in "23" else FAILED


def checked(url: str) -> str:
    """The address, if it is one of a program that listens on loopback. Raises BottleError."""
    from claude_bottle.policy.errors import BottleError

    wrong = "write the whole address that your browser ended at: http://localhost:PORT/callback?code=…"
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise BottleError(wrong) from None
    plain = url.isascii() and url.strip().isprintable() and not set(url.strip()) & set(' "\\')
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK or not port or parts.username or not plain:
        raise BottleError(wrong)
    return url.strip()


def _ask() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Address of the page that did not load", hide_input=True))
    return sys.stdin.readline()
