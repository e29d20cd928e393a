"""Command line of the set-up; the Makefile calls it."""

from __future__ import annotations

import argparse
import os
import shlex
import sys

from toolchain.dev_packages import Browser, FakeClock
from toolchain.docker_engine import BaseImage, DockerEngine
from toolchain.pulumi_cli import PLUGINS, Plugin, PulumiCli
from toolchain.python_env import PythonEnv
from toolchain.shell import SetupError, say
from toolchain.step import Step, ensure, examine
from toolchain.workspace import Workspace, environment


def steps(dev: bool) -> list[Step]:
    """All steps, in the order in which they need one another."""
    plugins: list[Step] = [Plugin(kind) for kind in PLUGINS]
    needed: list[Step] = [PythonEnv(dev), PulumiCli(), *plugins, DockerEngine(), BaseImage(), Workspace()]
    return [*needed, Browser(), FakeClock()] if dev else needed


def setup(dev: bool) -> None:
    """Make sure of every step. Raises SetupError at the first that cannot be had."""
    say("set-up:")
    for step in steps(dev):
        ensure(step)


def doctor() -> int:
    """Print what is there and what is missing; 1 if something is."""
    missing = 0
    for report in examine(steps(dev=False)):
        if report.found is None:
            missing += 1
            print(f"missing  {report.name}\n         {report.how}")
        else:
            print(f"ok       {report.name}: {report.found}")
    print("all there" if not missing else f"{missing} missing; make up gets them")
    return 1 if missing else 0


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python3 -m toolchain", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("setup", help="install what is missing").add_argument(
        "--dev", action="store_true", help="also what the tests need"
    )
    commands.add_parser("doctor", help="say what is there and what is missing")
    commands.add_parser("env", help="print the variables of the checkout's shell (used by ./activate)")
    commands.add_parser("run", help="run a command in the checkout's shell").add_argument(
        "argv", nargs=argparse.REMAINDER
    )
    args = parser.parse_args()
    if sys.version_info < (3, 11):  # noqa: UP036 - this is what tells
        say("claude-bottle needs Python 3.11 or newer")
        return 1
    try:
        if args.command == "setup":
            setup(args.dev)
        elif args.command == "doctor":
            return doctor()
        elif args.command == "env":
            for key, value in environment().items():
                print(f"export {key}={shlex.quote(value)}")
        else:
            argv = args.argv[1:] if args.argv[:1] == ["--"] else args.argv
            os.environ.update(environment())
            os.execvp(argv[0], argv)  # noqa: S606 - no shell is what is wanted
    except SetupError as error:
        say(f"set-up stopped: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
