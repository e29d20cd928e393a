"""Makes Pulumi report why an image could not be built, because the provider reports only the exit code."""

from __future__ import annotations

import pulumi

from claude_bottle.engines.docker.build_reason import build_reason
from claude_bottle.engines.docker.resources.provider_engine import provider_engine


def say_why(resource: str) -> pulumi.ResourceHookBinding:
    """A hook for an image that is built: if the build fails, the last output of its step becomes an error of the run.

    resource: its name. The build is run once more to get that output, and Pulumi does not retry it.
    """

    async def tell(failed: pulumi.ErrorHookArgs) -> bool:
        # The build holds an output, because a proxy's login in it is a secret.
        build = await pulumi.Output.from_input(dict((failed.new_inputs or {}).get("build") or {})).future()
        pulumi.log.info("the build of an image failed; running it once more, to see why")
        if words := build_reason(failed.name, build or {}, provider_engine()):
            pulumi.log.error(words)
        return False

    return pulumi.ResourceHookBinding(on_error=[pulumi.ErrorHook(f"why-{resource}", tell)])
