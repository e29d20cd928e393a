"""Names and labels of everything that one bottle makes on the Docker engine."""

from __future__ import annotations

PREFIX = "claude-bottle"
LABEL_STACK = "claude-bottle.stack"
LABEL_ROLE = "claude-bottle.role"
PROOF = "closure-proof"  # role of the container that proves for seconds that a bottle is closed


def docker_name(role: str, stack: str) -> str:
    """`claude-bottle-<role>-<stack>`."""
    return f"{PREFIX}-{role}-{stack}"


def labels(role: str, stack: str) -> dict[str, str]:
    """The labels by which a bottle's parts are found."""
    return {LABEL_STACK: stack, LABEL_ROLE: role}
