"""From the stack's config to what the program needs: the manifest, and the tokens as secrets."""

from __future__ import annotations

import os
from pathlib import Path

import pulumi

from components.egress_plan import assign_slots
from components.manifest import Manifest
from components.validation import load


def read_manifest(config: pulumi.Config, base: Path) -> Manifest:
    """The validated manifest of this stack. Raises ManifestError."""
    return load(config.get_object("bottle"), lambda ref: find_token(config, ref), base)


def find_token(config: pulumi.Config, ref: str) -> str | None:
    """The secret of the stack of that name, else the host's variable of that name."""
    return config.get(ref) or os.environ.get(ref)


def secret_tokens(config: pulumi.Config, manifest: Manifest) -> dict[str, pulumi.Output[str]]:
    """token_ref to its value, as secret outputs only."""
    return {ref: pulumi.Output.secret(find_token(config, ref) or "") for ref in assign_slots(manifest.egress)}
