"""`python -m components.repair STACK`: one command after a kill, whatever was killed and when.

Takes away the lock of a pulumi that is gone, looks at what is really there, removes containers and networks of this
stack that its state does not know, and then brings the stack up (or, with --down, destroys it). Volumes are never
removed here: a home that the state has lost is taken up again by its name.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence

from components.engine import Engine
from components.engine_address import engine_of
from components.errors import BottleError
from components.machine import ids_in_state
from components.preflight import ADOPT_VOLUMES
from components.stale_lock import PROJECT, all_stale, local_backend, locks, state_file

_QUIET = ["--yes", "--skip-preview", "--non-interactive", "--suppress-outputs"]


def say(text: str) -> None:
    print(f"repair: {text}", flush=True)


def pulumi(stack: str, *argv: str, env: dict[str, str] | None = None) -> None:
    """Run with its own progress. Raises BottleError when it fails."""
    done = subprocess.run(["pulumi", *argv, "--stack", stack], env={**os.environ, **(env or {})}, check=False)
    if done.returncode != 0:
        raise BottleError(f"pulumi {argv[0]} failed, see above; put that right, then run repair again")


def check_state(stack: str) -> None:
    """Raises BottleError with clear words for a state file that is missing, broken or from a newer Pulumi."""
    root, file = local_backend(), state_file(stack)
    if root is None or file is None:
        return
    backups = sorted((root / "backups" / PROJECT / stack).glob(f"{stack}.*.json"))
    how = (
        f"Pulumi keeps backups; the newest: cp {backups[-1]} {file}"
        if backups
        else f"there is no backup below {root / 'backups'}"
    )
    if not file.is_file():
        other = (
            how
            if backups
            else f"pulumi stack init {stack} makes a new one; repair then takes away what an old one left"
        )
        raise BottleError(f"{file} is missing: this backend has no stack {stack}. {other}")
    try:
        told = json.loads(file.read_text())
        version = told["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BottleError(
            f"{file} is not a state file any more ({type(error).__name__}). {how}, then run repair again"
        ) from None
    if version > 3:
        raise BottleError(
            f"{file} is of version {version}, from a newer Pulumi than this one knows (3); update the Pulumi CLI"
        )


def remove_orphans(stack: str, engine: Engine) -> int:
    """Containers and networks of the stack that its state does not know."""
    known = ids_in_state(stack)
    gone = 0
    for kind in ("container", "network"):
        for part in engine.parts(stack):
            if part.kind == kind and part.id not in known:
                say(f"{part.kind} {part.name} is of no state; removing it")
                subprocess.run(part.removal.split(), check=False, capture_output=True)
                gone += 1
    return gone


def repair(stack: str, *, down: bool) -> None:
    """Bring the stack to a correct state. Raises BottleError with what stands in the way."""
    check_state(stack)
    os.environ.update(engine_of(stack))
    if locks(stack):
        if not all_stale(stack):
            raise BottleError(f"a pulumi is at work on {stack} now; wait for it")
        say("a pulumi that was killed has left its lock; taking it away")
        pulumi(stack, "cancel", "--yes")
    say("looking at what is really there")
    pulumi(stack, "refresh", *_QUIET, "--clear-pending-creates")
    remove_orphans(stack, Engine())
    if down:
        pulumi(stack, "destroy", *_QUIET)
        remove_orphans(stack, Engine())
        for part in Engine().parts(stack):
            say(f"{part.kind} {part.name} stays, for it may hold work of the agent; when you are sure: {part.removal}")
    else:
        # The policies are put into the proxies again: what is in a container is not looked at by a refresh.
        again = [word for kind in ("routes", "policy") for word in ("--replace", f"**{kind}-put")]
        pulumi(stack, "up", *_QUIET, *again, env={ADOPT_VOLUMES: "1"})
    say("done")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m components.repair", description=__doc__)
    parser.add_argument("stack", help="name of the stack")
    parser.add_argument("--down", action="store_true", help="end with destroy, where an up was not wanted any more")
    args = parser.parse_args(argv)
    try:
        repair(args.stack, down=args.down)
    except BottleError as error:
        print(f"repair: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
