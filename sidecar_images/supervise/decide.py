"""The owner's side of the store, reached by `docker exec` alone: `list`, or `decide` with a JSON object on stdin."""

from __future__ import annotations

import dataclasses
import json
import sys

from .proposals import Proposals


def main() -> int:
    """Entry point."""
    store = Proposals()
    if sys.argv[1] == "list":
        print(json.dumps([dataclasses.asdict(proposal) for proposal in store.all()]))
        return 0
    told = json.load(sys.stdin)
    if store.decide(told["id"], told["verdict"], told["reply"]):
        print(json.dumps({"part": "supervise", "event": told["verdict"], "id": told["id"]}))
        return 0
    print(f"{told['id']} is not pending", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
