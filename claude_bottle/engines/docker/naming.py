"""Names and labels of everything that a bottle creates on the Docker engine."""

from __future__ import annotations

PREFIX = "claude-bottle"
LABEL_STACK = "claude-bottle.stack"
LABEL_ROLE = "claude-bottle.role"
PROOF = "closure-proof"  # role of the short-lived container that proves that a bottle is closed


def docker_name(role: str, stack: str) -> str:
    """`claude-bottle-<role>-<stack>`."""
    return f"{PREFIX}-{role}-{stack}"


def labels(role: str, stack: str) -> dict[str, str]:
    """The labels by which a bottle's parts are found."""
    return {LABEL_STACK: stack, LABEL_ROLE: role}
