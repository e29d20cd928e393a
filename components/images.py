"""The images of a bottle: built from this checkout, tagged by the hash of their content, shared by all stacks."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from claude_bottle import ROOT
from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.docker.resources.build_failure import say_why
from claude_bottle.engines.images.base_image import BaseLock
from claude_bottle.engines.images.build_context import digest
from claude_bottle.engines.images.build_proxies import build_proxies
from claude_bottle.host.machine_roots import machine_roots
from claude_bottle.host.type_tokens import token

# Container role to image, where they differ.
_SHARED = {"egress": "proxy", "pipelock": "proxy"}


def _content(image: str) -> str:
    return digest(ROOT / dockerfile(image), ROOT, exact_modes=False)


def image_of(role: str) -> str:
    """The image that containers of this role run: both proxies share one."""
    return _SHARED.get(role, role)


def tag(role: str) -> str:
    """`claude-bottle/<image of the role>:<hash>`, over the base's name and the files that its Dockerfile copies."""
    image = image_of(role)
    made_from = f"{BaseLock.read().tag} {_content(image)}"
    return f"claude-bottle/{image}:{hashlib.sha256(made_from.encode()).hexdigest()[:16]}"


def build_args() -> dict[str, str]:
    """Of the build of any image but the base."""
    return {"BASE": BaseLock.read().tag, "EXTRA_ROOTS": extra_roots()}


def with_proxies(arguments: Mapping[str, pulumi.Input[str]]) -> dict[str, pulumi.Input[str]]:
    """These build arguments, and the forward proxy of this shell; a value with a login is a secret of the state."""
    proxies: dict[str, pulumi.Input[str]] = {
        name: pulumi.Output.secret(value) if "@" in value else value for name, value in build_proxies().items()
    }
    return {**proxies, **arguments}


def dockerfile(role: str) -> str:
    """Path of its Dockerfile below the repository root, which is the build's context."""
    return f"sidecar_images/{image_of(role).replace('-', '_')}/Dockerfile"


def extra_roots() -> str:
    """Roots of this host beyond the distribution's, PEM in base64: for builds behind a proxy that re-signs TLS.

    Empty where there are none, and where CLAUDE_BOTTLE_EXTRA_ROOTS=off. They go into build stages only.
    """
    found = [pem for pems in machine_roots().values() for pem in pems]
    return base64.b64encode(("\n".join(found) + "\n").encode()).decode() if found else ""


@dataclass
class ImagesArgs:
    """roles: whose images are needed. there: tags that the engine has already; these are not built again."""

    roles: tuple[str, ...]
    there: frozenset[str] = frozenset()


class Images(pulumi.ComponentResource):
    """The images by role, as image ids; they stay when the stack goes, for other stacks use them."""

    ids: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: ImagesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("Images"), name, {}, formerly(opts, "images:Images"))
        images = dict.fromkeys(image_of(role) for role in args.roles)
        # Not asked of an engine that was given the finished images and has no base.
        wanted = {BaseLock.read().tag} & args.there or {tag(image) for image in images} - args.there
        base = self._base(name, args.there) if wanted else None
        ids = {image: self._image(f"{name}-{image}", image, args.there, base) for image in images}
        self.ids = {role: ids[image_of(role)] for role in args.roles}
        self.register_outputs({})

    def _base(self, name: str, there: frozenset[str]) -> pulumi.Resource:
        """The set-up makes it on this machine's engine; on another one it is made here."""
        lock = BaseLock.read()
        build = docker.RemoteImageBuildArgs(
            context=str(ROOT), dockerfile=dockerfile("base"), build_args=with_proxies(lock.build_args)
        )
        return self._built(f"{name}-base", lock.tag, None if lock.tag in there else build)

    def _image(self, name: str, image: str, there: frozenset[str], base: pulumi.Resource | None) -> pulumi.Output[str]:
        tagged = tag(image)
        build = docker.RemoteImageBuildArgs(
            context=str(ROOT),
            dockerfile=dockerfile(image),
            build_args=with_proxies(build_args()),
            labels={"claude-bottle.role": image},
        )
        # The tag is a hash of the content. Building it once more would need its base image and its packages again.
        return self._built(name, tagged, None if tagged in there else build, base).image_id

    def _built(
        self, name: str, tagged: str, build: docker.RemoteImageBuildArgs | None, after: pulumi.Resource | None = None
    ) -> docker.RemoteImage:
        # Another host's roots, or another place of the checkout, do not make another image.
        child = pulumi.ResourceOptions(parent=self, ignore_changes=["build"], depends_on=[after] if after else [])
        # A new content is a new resource, so that the old image is let go, never replaced.
        resource = f"{name}-{tagged.rpartition(':')[2]}"
        if build is not None:
            child.hooks = say_why(resource)
        return docker.RemoteImage(resource, name=tagged, keep_locally=True, build=build, opts=child)
