"""Type tokens of the components. Pure.

A component provider serves only types of the module `index` (pulumi.provider.experimental, component.py), so each token
is `claude-bottle:index:<Type>`.
"""

from __future__ import annotations


def token(component: str) -> str:
    """The type token of a component class of this name."""
    return f"claude-bottle:index:{component}"


def is_of(component: str, urn_or_type: str) -> bool:
    """Whether this is a component of this class, in this or an earlier release. A URN includes its parents' types."""
    parts = urn_or_type.split("::")
    type_ = parts[2].rpartition("$")[2] if len(parts) > 2 else urn_or_type
    return type_.startswith("claude-bottle:") and type_.endswith(f":{component}")
