"""Type tokens of the components, and what they were called before.

A component provider serves types of the module `index` alone (pulumi.provider.experimental, component.py), so each
token is `claude-bottle:index:<Type>`. With its earlier token as an alias, a component of an older stack is the same
one, and so are its children, to which the engine gives their parent's aliases.
"""

from __future__ import annotations

import pulumi


def token(component: str) -> str:
    """The type token of a component class of this name."""
    return f"claude-bottle:index:{component}"


def is_of(component: str, urn_or_type: str) -> bool:
    """Whether this is a component of this class, of this release or an earlier one. A URN holds its parents' types."""
    parts = urn_or_type.split("::")
    type_ = parts[2].rpartition("$")[2] if len(parts) > 2 else urn_or_type
    return type_.startswith("claude-bottle:") and type_.endswith(f":{component}")


def formerly(
    opts: pulumi.ResourceOptions | None, type_: str | None = None, name: str | None = None
) -> pulumi.ResourceOptions:
    """The same options for a resource that was `claude-bottle:<type_>`, or had this name, in stacks of before."""
    # With both, each alone is no alias: stacks of before have both.
    old = pulumi.Alias(
        **({"type_": f"claude-bottle:{type_}"} if type_ else {}),
        **({"name": name} if name else {}),
    )
    return pulumi.ResourceOptions.merge(opts or pulumi.ResourceOptions(), pulumi.ResourceOptions(aliases=[old]))
