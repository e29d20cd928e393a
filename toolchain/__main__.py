"""Command line of the set-up; the Makefile calls it."""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import sys

from claude_bottle.engines.chosen import machine_notes
from claude_bottle.host.machine_roots import advice, machine_roots
from claude_bottle.policy.own_command import own_command
from toolchain import archives, audit, newer, update
from toolchain.dev_packages import Browser, FakeClock
from toolchain.docker_engine import BaseImage, DockerEngine
from toolchain.environment import StateAndPassphrase, environment
from toolchain.pulumi_cli import PLUGINS, VERSION, Plugin, PulumiCli
from toolchain.python_env import VENV, PythonEnv
from toolchain.shell import SetupError, quiet, say
from toolchain.stack_file import provide
from toolchain.step import Step, ensure, examine


def steps(dev: bool) -> list[Step]:
    """All steps, in the order of their dependencies."""
    plugins: list[Step] = [Plugin(kind) for kind in PLUGINS]
    needed: list[Step] = [PythonEnv(dev), PulumiCli(), *plugins, DockerEngine(), BaseImage(), StateAndPassphrase()]
    return [*needed, Browser(), FakeClock()] if dev else needed


def setup(dev: bool) -> None:
    """Ensure every step. Raises SetupError at the first that fails."""
    say("set-up:")
    for step in steps(dev):
        ensure(step)


def setup_missing() -> None:
    """Ensure the steps that a bottle needs, and print nothing about those that are done. Raises SetupError."""
    for step in steps(dev=False):
        if step.look() is None:
            ensure(step)


def doctor() -> int:
    """Print what is installed and what is missing. Returns 1 if something is missing."""
    missing = 0
    for report in examine(steps(dev=False)):
        if report.present is None:
            missing += 1
            print(f"missing  {report.name}\n         {report.how}")
        else:
            print(f"ok       {report.name}: {report.present}")
    if roots := list(machine_roots()):
        print(f"note     {advice(roots)}")
    for note in machine_notes():
        print(f"note     {note}")
    old = [] if missing else upkeep()
    for line in old:
        print(f"old      {line}")
    summary = f"all there, {len(old)} not up to date" if old else "all there"
    print(summary if not missing else f"{missing} missing; {own_command('up demo')} installs them")
    return 1 if missing else 0


def upkeep() -> list[str]:
    """Pinned versions that are outdated or no longer maintained. Queries servers; prints which ones do not answer."""
    lines = []
    version = quiet("docker", "version", "--format", "{{.Server.Version}}") or ""
    if ended := newer.engine_ended(version):
        lines.append(
            f"Docker engine {version}: not maintained by Moby since {ended}; a distribution may patch it itself"
        )
    # In the environment of the bottles, because this program may run in another Python.
    if images := quiet(str(VENV / "bin/python3"), "-m", "claude_bottle.upkeep.old_images", env=environment()):
        lines.append(images)
    ages = update.ages()
    update.show(ages)
    return lines + [
        f"{age.name}: {age.now}, newer is {age.newer}; {own_command('update')}" for age in ages if age.is_old
    ]


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python3 -m toolchain", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("setup", help="install what is missing").add_argument(
        "--dev", action="store_true", help="also what the tests need"
    )
    commands.add_parser("stack", help="copy the example of a stack, where it has no file yet").add_argument("name")
    updating = commands.add_parser(
        "update", help="newer base, Debian packages, Claude Code and Go: shows what changes, and builds"
    )
    updating.add_argument("--back", action="store_true", help="roll back the last update of this checkout")
    commands.add_parser(
        "audit",
        help="known vulnerabilities in the locked packages: 1 if there are any, 3 if a database could not be reached",
    )
    commands.add_parser("pin", help="record the digests of Pulumi's official archives, after a version was raised")
    commands.add_parser("doctor", help="report what is installed and what is missing")
    commands.add_parser("env", help="print the variables of the checkout's shell (used by ./activate)")
    commands.add_parser("run", help="run a command in the checkout's shell").add_argument(
        "argv", nargs=argparse.REMAINDER
    )
    args = parser.parse_args()
    if sys.version_info < (3, 11):  # noqa: UP036 - reports an older Python
        say("claude-bottle needs Python 3.11 or newer")
        return 1
    try:
        if args.command == "setup":
            setup(args.dev)
        elif args.command == "doctor":
            return doctor()
        elif args.command == "audit":
            return audit.audit()
        elif args.command == "pin":
            archives.pin({"cli": VERSION, **PLUGINS})
        elif args.command == "update":
            return update.back() if args.back else update.update()
        elif args.command == "stack":
            provide(args.name)
        elif args.command == "env":
            for key, value in environment().items():
                print(f"export {key}={shlex.quote(value)}")
        else:
            argv = args.argv[1:] if args.argv[:1] == ["--"] else args.argv
            os.environ.update(environment())
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold tokens and the passphrase
            os.execvp(argv[0], argv)  # noqa: S606 - no shell is what is wanted
    except SetupError as error:
        say(f"set-up stopped: {error}")
        return 1
    except OSError as error:
        if args.command != "pin":
            raise
        say(f"not all of them can be reached, so none is recorded: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
