"""What the components were called before.

With its earlier type token as an alias, a component of an older stack is the same one, and so are its children, to
which the engine gives their parent's aliases.
"""

from __future__ import annotations

import pulumi


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
