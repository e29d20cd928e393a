"""Aliases for the earlier type tokens and names of the components.

With its earlier type token as an alias, a component of an older stack is recognised as the same component. So are its
children, because Pulumi gives them their parent's aliases.
"""

from __future__ import annotations

import pulumi


def formerly(
    opts: pulumi.ResourceOptions | None, type_: str | None = None, name: str | None = None
) -> pulumi.ResourceOptions:
    """The options, with an alias for a resource that was `claude-bottle:<type_>` or had this name in older stacks."""
    # One alias with both, because older stacks have both at once; either alone matches no resource.
    old = pulumi.Alias(
        **({"type_": f"claude-bottle:{type_}"} if type_ else {}),
        **({"name": name} if name else {}),
    )
    return pulumi.ResourceOptions.merge(opts or pulumi.ResourceOptions(), pulumi.ResourceOptions(aliases=[old]))
