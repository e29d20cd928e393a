"""What all images start from: Debian by digest, its packages as of one moment.

Standard library only, for set-up reads it before anything is installed.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

from claude_bottle import ROOT
from claude_bottle.engines.images.build_context import digest

LOCK = ROOT / "sidecar_images/base/base.lock"
DOCKERFILE = "sidecar_images/base/Dockerfile"


@dataclass(frozen=True)
class BaseLock:
    """upstream: the image's name and tag. digest: of its index, for all platforms. snapshot: as 20261126T000000Z."""

    upstream: str
    digest: str
    snapshot: str

    @classmethod
    def read(cls, file: Path = LOCK) -> BaseLock:
        return cls(**tomllib.loads(file.read_text()))

    def write(self, file: Path = LOCK) -> None:
        """The comments of the file stay."""
        text = file.read_text()
        for name, value in asdict(self).items():
            text = re.sub(rf'^{name} = "[^"]*"$', f'{name} = "{value}"', text, flags=re.MULTILINE)
        file.write_text(text)

    @property
    def image(self) -> str:
        """By digest alone: a tag moves."""
        return f"{self.upstream.partition(':')[0]}@{self.digest}"

    @property
    def tag(self) -> str:
        """Name of the base; its hash is over this lock and all that the build of it takes."""
        made_from = json.dumps([asdict(self), digest(ROOT / DOCKERFILE, ROOT, exact_modes=False)])
        return f"claude-bottle/base:{hashlib.sha256(made_from.encode()).hexdigest()[:16]}"

    @property
    def build_args(self) -> dict[str, str]:
        """Of its build where a registry and Debian's snapshots are reachable."""
        return {"UPSTREAM": self.image, "SNAPSHOT": self.snapshot}
