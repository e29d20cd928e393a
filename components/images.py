"""The images of a bottle: built from this checkout, tagged by the hash of their content, shared by all stacks."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_docker as docker

ROOT = Path(__file__).resolve().parent.parent
_PROXY = (
    "addons",
    "sidecar_images/proxy.lock",
    "sidecar_images/proxy.py",
    "sidecar_images/put.py",
    "sidecar_images/healthy.sh",
)
CONTENT: dict[str, tuple[str, ...]] = {
    "egress": (*_PROXY, "sidecar_images/egress"),
    "pipelock": (*_PROXY, "sidecar_images/pipelock"),
    "git-gate": ("sidecar_images/git_gate", "addons/__init__.py", "addons/once.py"),
    "supervise": (
        "sidecar_images/supervise",
        *(
            f"components/{name}.py"
            for name in ("__init__", "change", "manifest", "manifest_fields", "manifest_pipelock", "git_upstream")
        ),
        *(
            f"addons/{name}.py"
            for name in ("__init__", "egress_core", "hosts", "injection", "once", "refusal", "until")
        ),
    ),
    "agent": ("sidecar_images/agent",),
}
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def content_digest(paths: tuple[str, ...], root: Path = ROOT) -> str:
    """SHA-256 over names, modes and contents of the files below `paths`; what Python leaves behind does not count."""
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted(p for p in (root / path, *(root / path).rglob("*")) if p.is_file()):
            if "__pycache__" not in file.parts:
                mode = file.stat().st_mode & 0o111
                digest.update(f"{file.relative_to(root)}\0{mode}\0{file.stat().st_size}\0".encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()


def tag(role: str) -> str:
    """`claude-bottle/<role>:<hash of its content>`."""
    return f"claude-bottle/{role}:{content_digest(CONTENT[role])[:16]}"


def extra_roots() -> str:
    """Roots of this host beyond the distribution's, PEM in base64: for builds behind a proxy that re-signs TLS.

    Empty where there are none, and where CLAUDE_BOTTLE_EXTRA_ROOTS=off. They go into build stages only.
    """
    if os.environ.get("CLAUDE_BOTTLE_EXTRA_ROOTS") == "off":
        return ""
    local = Path("/usr/local/share/ca-certificates")
    found = [pem for file in sorted(local.rglob("*.crt")) for pem in _PEM.findall(file.read_text(errors="replace"))]
    return base64.b64encode(("\n".join(found) + "\n").encode()).decode() if found else ""


@dataclass
class ImagesArgs:
    """roles: which images are needed. there: tags that the engine has already; these are not built again."""

    roles: tuple[str, ...]
    there: frozenset[str] = frozenset()


class Images(pulumi.ComponentResource):
    """The images by role, as image ids; they stay when the stack goes, for other stacks use them."""

    ids: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: ImagesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("claude-bottle:images:Images", name, {}, opts)
        self.ids = {role: self._image(f"{name}-{role}", role, args.there) for role in args.roles}
        self.register_outputs({})

    def _image(self, name: str, role: str, there: frozenset[str]) -> pulumi.Output[str]:
        tagged = tag(role)
        build = docker.RemoteImageBuildArgs(
            context=str(ROOT),
            dockerfile=f"sidecar_images/{role.replace('-', '_')}/Dockerfile",
            build_args={"EXTRA_ROOTS": extra_roots()},
            labels={"claude-bottle.role": role},
        )
        return docker.RemoteImage(
            # A new content is a new resource, so that the old image is let go, never replaced.
            f"{name}-{tagged.rpartition(':')[2]}",
            name=tagged,
            keep_locally=True,
            # The tag is a hash of the content. Building it once more would need its base image and its packages again.
            build=None if tagged in there else build,
            # Another host's roots, or another place of the checkout, do not make another image.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["build"]),
        ).image_id
