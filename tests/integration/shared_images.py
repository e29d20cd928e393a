"""Builds the images that all bottles of the tests share, before the tests begin.

The docker command and the Pulumi provider use different builders. Two builds of one content that begin together there give
two image ids, and the later one takes the tag: the next `up` of a bottle of the earlier one replaces its containers.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import world

from claude_bottle.policy.names.roles import ROLES

if __name__ == "__main__":
    for role in ROLES:
        print(f"  image of {role}: {world.built(role)}", flush=True)
