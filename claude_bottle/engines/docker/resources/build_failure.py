"""Has Pulumi say why an image could not be built, whichever command ran it: the provider tells the exit code alone."""

from __future__ import annotations

import pulumi

from claude_bottle.engines.docker.build_reason import build_reason
from claude_bottle.engines.docker.resources.provider_engine import provider_engine


def say_why(resource: str) -> pulumi.ResourceHookBinding:
    """For the options of an image that is built: when that fails, the last words of its step are an error of the run.

    resource: its name. The build is run once more for it, and never tried again by Pulumi.
    """

    async def tell(failed: pulumi.ErrorHookArgs) -> bool:
        # A proxy's login in it is a secret, which is an output here.
        build = await pulumi.Output.from_input(dict((failed.new_inputs or {}).get("build") or {})).future()
        pulumi.log.info("the build of an image failed; running it once more, to see why")
        if words := build_reason(failed.name, build or {}, provider_engine()):
            pulumi.log.error(words)
        return False

    return pulumi.ResourceHookBinding(on_error=[pulumi.ErrorHook(f"why-{resource}", tell)])
