"""One command after a kill, whatever was killed and when.

Takes away the lock of a pulumi that is gone, looks at what is really there, removes containers and networks of this
stack that its state does not know, and then brings the stack up (or, with --down, destroys it). Volumes are never
removed here: a home that the state has lost is taken up again by its name.
"""

from __future__ import annotations

from claude_bottle.checks.preflight import ADOPT_VOLUMES
from claude_bottle.engines.chosen import open_host, use_engine_of
from claude_bottle.engines.client import Host
from claude_bottle.engines.pulumi_state import ids_in_state
from claude_bottle.host.local_backend import all_stale, locks, remove_broken, state_file
from claude_bottle.host.state_files import VERSION, problem, restore
from claude_bottle.policy.errors import BottleError
from claude_bottle.runs.terminal import run_pulumi

_QUIET = ["--yes", "--skip-preview", "--non-interactive", "--suppress-outputs"]


def say(text: str) -> None:
    print(f"repair: {text}", flush=True)


def pulumi(stack: str, *argv: str, env: dict[str, str] | None = None) -> None:
    """Run Pulumi with its own progress. Raises BottleError if it fails."""
    try:
        run_pulumi(stack, *argv, env=env)
    except BottleError as error:
        raise BottleError(f"{error}; fix that, then run repair again") from None


def check_state(stack: str) -> None:
    """Ensure a readable state file. Raises BottleError for one from a newer Pulumi, and if no good one is left."""
    file = state_file(stack)
    if file is None:
        return
    wrong = problem(file)
    if wrong is not None and wrong.startswith("is of version"):
        raise BottleError(f"{file} {wrong}, from a newer Pulumi than this one knows ({VERSION}); update the Pulumi CLI")
    if (good := restore(stack)) is not None:
        was = "missing" if wrong == "FileNotFoundError" else "not a valid state"
        say(f"{file} was {was}; {good} has replaced it")


def remove_orphans(stack: str, engine: Host) -> int:
    """Delete containers and networks of the stack that its state does not know. Returns how many were deleted."""
    deleted = 0
    for part in engine.leftovers(stack, ids_in_state(stack)):
        say(f"{part.kind} {part.name} belongs to no state; deleting it")
        if engine.remove(part):
            deleted += 1
        else:
            say(f"the engine did not delete {part.kind} {part.name}; this command shows its reason: {part.removal}")
    return deleted


def repair(stack: str, *, down: bool) -> None:
    """Bring the stack to a correct state. Raises BottleError with the reason if it cannot."""
    check_state(stack)
    use_engine_of(stack)
    if (gone := remove_broken(stack)) > 0:
        say(f"{gone} incomplete locks were deleted")
    if locks(stack):
        if not all_stale(stack):
            raise BottleError(f"a pulumi is running on {stack} now; wait for it")
        say("a killed pulumi has left its lock; deleting it")
        pulumi(stack, "cancel", "--yes")
    say("comparing the state with the engine")
    pulumi(stack, "refresh", *_QUIET, "--clear-pending-creates")
    remove_orphans(stack, open_host())
    if down:
        pulumi(stack, "destroy", *_QUIET)
        remove_orphans(stack, open_host())
        for part in open_host().parts(stack):
            say(
                f"{part.kind} {part.name} is kept, because it may hold work of the agent; if you are sure:"
                f" {part.removal}"
            )
    else:
        # The policies are pushed to the proxies again in any case, because a kill may have come at any moment.
        again = [word for kind in ("routes", "policy") for word in ("--replace", f"**{kind}-put")]
        pulumi(stack, "up", *_QUIET, *again, env={ADOPT_VOLUMES: "1"})
    say("done")
