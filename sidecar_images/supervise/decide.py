"""The owner's side, reachable by `docker exec` only: `list`; `decide`, `file`, `note`, `replay` with JSON on stdin."""

from __future__ import annotations

import dataclasses
import json
import sys

from claude_bottle.policy.proposals import FullError, LimitError, Proposals
from claude_bottle.policy.replay import replay


def main() -> int:
    """Entry point. Returns the exit code: 1 if a proposal is not pending, or if something cannot be stored."""
    try:
        return _answered()
    except (LimitError, FullError) as error:
        print(error, file=sys.stderr)
        return 1


def _answered() -> int:
    store = Proposals()
    if sys.argv[1] == "list":
        print(json.dumps([dataclasses.asdict(proposal) for proposal in store.all()]))
        return 0
    payload = json.load(sys.stdin)
    if sys.argv[1] == "replay":
        print(json.dumps(replay(payload)))
        return 0
    if sys.argv[1] == "note":
        store.note(payload["id"], payload["note"])
        return 0
    if sys.argv[1] == "file":
        print(store.add(payload["tool"], payload["change"], payload["words"], payload["request"]).id)
        return 0
    if store.decide(payload["id"], payload["verdict"], payload["reply"], payload.get("note", "")):
        print(json.dumps({"part": "supervise", "event": payload["verdict"], "id": payload["id"]}))
        return 0
    print(f"{payload['id']} is not pending", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
