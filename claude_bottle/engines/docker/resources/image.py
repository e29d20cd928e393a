"""The only place where an image becomes a resource. It outlives the stack, because other stacks use it."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_docker as docker

from claude_bottle.engines.declare import Image, ImageBuild
from claude_bottle.engines.docker.resources.build_failure import say_why
from claude_bottle.engines.images.build_proxies import build_proxies


def with_proxies(arguments: Mapping[str, pulumi.Input[str]]) -> dict[str, pulumi.Input[str]]:
    """The build arguments plus the forward proxy of this shell. A value with a login becomes a secret of the state."""
    proxies: dict[str, pulumi.Input[str]] = {
        name: pulumi.Output.secret(value) if "@" in value else value for name, value in build_proxies().items()
    }
    return {**proxies, **arguments}


def built_image(
    name: str, tag: str, build: ImageBuild | None, parent: pulumi.Resource, after: pulumi.Resource | None
) -> Image:
    """An image tagged by a hash of its content. Other CA roots or another checkout path alone do not rebuild it."""
    opts = pulumi.ResourceOptions(parent=parent, ignore_changes=["build"], depends_on=[after] if after else [])
    # New content makes a new resource, so the old image is dropped from the state and not replaced.
    resource = f"{name}-{tag.rpartition(':')[2]}"
    args: docker.RemoteImageBuildArgs | None = None
    if build is not None:
        opts.hooks = say_why(resource)
        args = docker.RemoteImageBuildArgs(
            context=build.context,
            dockerfile=build.file,
            build_args=with_proxies(build.arguments),
            labels=build.labels,
        )
    image = docker.RemoteImage(resource, name=tag, keep_locally=True, build=args, opts=opts)
    return Image(image, image.image_id)


def fetched_image(name: str, reference: str, parent: pulumi.Resource) -> Image:
    """An image from its registry, or the engine's copy."""
    image = docker.RemoteImage(name, name=reference, keep_locally=True, opts=pulumi.ResourceOptions(parent=parent))
    return Image(image, image.image_id)
