"""The images of a bottle: built from this checkout, tagged by the hash of their content, shared by all stacks."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

import pulumi

from claude_bottle import ROOT
from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.declare import Engine, Image, ImageBuild
from claude_bottle.engines.images.base_image import BaseLock
from claude_bottle.engines.images.build_context import digest
from claude_bottle.host.machine_roots import machine_roots
from claude_bottle.host.type_tokens import token

# Role to image, where the names differ.
_SHARED = {"egress": "proxy", "pipelock": "proxy"}


def _content(image: str) -> str:
    return digest(ROOT / dockerfile(image), ROOT, exact_modes=False)


def image_of(role: str) -> str:
    """The image that this role runs. Both proxies share one."""
    return _SHARED.get(role, role)


def tag(role: str) -> str:
    """`claude-bottle/<image of the role>:<hash>`. The hash covers the base's name and all copied files."""
    image = image_of(role)
    made_from = f"{BaseLock.read().tag} {_content(image)}"
    return f"claude-bottle/{image}:{hashlib.sha256(made_from.encode()).hexdigest()[:16]}"


def build_args() -> dict[str, str]:
    """The build arguments of any image but the base."""
    return {"BASE": BaseLock.read().tag, "EXTRA_ROOTS": extra_roots()}


def dockerfile(role: str) -> str:
    """Path of the role's Dockerfile relative to the repository root, which is the build context."""
    return f"sidecar_images/{image_of(role).replace('-', '_')}/Dockerfile"


def extra_roots() -> str:
    """CA roots of this host beyond the distribution's, as base64 of PEM, for builds behind a proxy that re-signs TLS.

    Empty if there are none, or if CLAUDE_BOTTLE_EXTRA_ROOTS=off. They are used in build stages only.
    """
    roots = [pem for pems in machine_roots().values() for pem in pems]
    return base64.b64encode(("\n".join(roots) + "\n").encode()).decode() if roots else ""


@dataclass
class ImagesArgs:
    """roles: whose images are needed. engine: an image that it has is not built again."""

    roles: tuple[str, ...]
    engine: Engine


class Images(pulumi.ComponentResource):
    """The images by role, as image ids. They outlive the stack, because other stacks use them."""

    ids: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: ImagesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("Images"), name, {}, formerly(opts, "images:Images"))
        self._name, self._engine = name, args.engine
        images = dict.fromkeys(image_of(role) for role in args.roles)
        # An engine that was given the finished images needs no base.
        wanted = args.engine.has(BaseLock.read().tag) or not all(args.engine.has(tag(image)) for image in images)
        base = self._base().resource if wanted else None
        ids = {image: self._image(image, base).id for image in images}
        self.ids = {role: ids[image_of(role)] for role in args.roles}
        self.register_outputs({})

    def _base(self) -> Image:
        """The base image. Set-up builds it on this machine's engine; on another engine it is built here."""
        lock = BaseLock.read()
        build = ImageBuild(str(ROOT), dockerfile("base"), lock.build_args)
        return self._engine.built(f"{self._name}-base", lock.tag, None if self._engine.has(lock.tag) else build, self)

    def _image(self, image: str, base: pulumi.Resource | None) -> Image:
        tagged = tag(image)
        build = ImageBuild(str(ROOT), dockerfile(image), build_args(), {"claude-bottle.role": image})
        # The tag is a hash of the content. Another build would need the base image and the packages again.
        return self._engine.built(
            f"{self._name}-{image}", tagged, None if self._engine.has(tagged) else build, self, base
        )
