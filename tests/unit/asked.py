"""What several tests of proposals stand on: a change, and a stack file with an owner's words in it."""

from __future__ import annotations

from typing import Any

ROUTE: dict[str, Any] = {
    "path": "egress.routes",
    "value": {"host": "a.example.com", "path": ["/x"], "methods": ["GET"]},
}
FILE = """# mine
config:
  claude-bottle:bottle:
    agent: {memory: 2g}   # small
    egress:
      routes:
        # the model
        - host: api.anthropic.com
          token_ref: "T"
  other:key: kept
"""
