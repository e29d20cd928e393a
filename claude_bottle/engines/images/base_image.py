"""The base of all images: Debian by digest, its packages as of one snapshot.

Standard library only, because set-up imports it before anything is installed.
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
    """upstream: the image's name and tag. digest: of its multi-platform index. snapshot: such as 20261126T000000Z."""

    upstream: str
    digest: str
    snapshot: str

    @classmethod
    def read(cls, file: Path = LOCK) -> BaseLock:
        return cls(**tomllib.loads(file.read_text()))

    def write(self, file: Path = LOCK) -> None:
        """Write the values to the file and keep its comments."""
        text = file.read_text()
        for name, value in asdict(self).items():
            text = re.sub(rf'^{name} = "[^"]*"$', f'{name} = "{value}"', text, flags=re.MULTILINE)
        file.write_text(text)

    @property
    def image(self) -> str:
        """The image by digest alone, because a tag moves."""
        return f"{self.upstream.partition(':')[0]}@{self.digest}"

    @property
    def tag(self) -> str:
        """The name of the base. Its hash covers this lock and every input of its build."""
        made_from = json.dumps([asdict(self), digest(ROOT / DOCKERFILE, ROOT, exact_modes=False)])
        return f"claude-bottle/base:{hashlib.sha256(made_from.encode()).hexdigest()[:16]}"

    @property
    def build_args(self) -> dict[str, str]:
        """The build arguments where a registry and Debian's snapshots are reachable."""
        return {"UPSTREAM": self.image, "SNAPSHOT": self.snapshot}
