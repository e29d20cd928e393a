"""What Pulumi keeps of a stack's past, and what `make forget` deletes: earlier states, and logs of its own runs.

Pulumi stores each state twice next to the current one, and keeps both after `destroy` and `stack rm`. Secrets in them
are encrypted, but the passphrase's file is on the same disk, so a rotated token can still be read from them. The
current state, the stack file and the audit log are kept.

    python -m claude_bottle.host.past_states STACK            list
    python -m claude_bottle.host.past_states STACK --delete   delete
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from claude_bottle.host.stack_names import UnknownBottleError, must_be_remembered
from claude_bottle.host.stale_lock import PROJECT, is_stale, local_backend, locks
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.own_command import own_command


def past_states(stack: str) -> list[Path]:
    """Files of earlier states and of logs. Raises BottleError if the states are not stored in files here."""
    root = local_backend()
    if root is None:
        raise BottleError("the states are with the backend that you are logged in to; delete its versions there")
    last = root / "stacks" / PROJECT / f"{stack}.json.bak"
    kept = [last, *(root / "backups" / PROJECT / stack).glob("*"), *(root / "history" / PROJECT / stack).glob("*")]
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    name = re.compile(rf"[^+]+\+{PROJECT}\+{re.escape(stack)}-[0-9]{{8}}T[0-9]{{6}}\b.*\.log(\..*)?\Z")
    logs = [file for file in (home / "logs").glob(f"*+{PROJECT}+*") if name.match(file.name)]
    return sorted(file for file in [*kept, *logs] if file.is_file())


def describe(stack: str, files: list[Path]) -> str:
    """One sentence for a person."""
    size = sum(file.stat().st_size for file in files) >> 20
    oldest = datetime.fromtimestamp(min(file.stat().st_mtime for file in files), UTC)
    return (
        f"{len(files)} earlier states and logs of {stack}, {size} MB, since {oldest:%Y-%m-%d %H:%M} UTC"
        " (their secrets are encrypted with a passphrase that is on this machine)"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="make forget STACK=…", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("stack", help="name of the stack")
    parser.add_argument("--delete", action="store_true", help="delete them")
    args = parser.parse_args(argv)
    try:
        files = past_states(must_be_remembered(args.stack))
        if args.delete and any(not is_stale(lock) for lock in locks(args.stack)):
            raise BottleError(f"a pulumi is running on {args.stack}; wait for it, then try again")
    except BottleError as error:
        print(error, file=sys.stderr)
        return 1 if args.delete or isinstance(error, UnknownBottleError) else 0
    if not files:
        print(f"Pulumi keeps no earlier states and logs of {args.stack}")
        return 0
    if not args.delete:
        print(f"Pulumi keeps {describe(args.stack, files)}; {own_command(f'forget {args.stack}')} deletes them")
        return 0
    summary = describe(args.stack, files)
    for file in files:
        file.unlink(missing_ok=True)
    print(f"deleted {summary}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
