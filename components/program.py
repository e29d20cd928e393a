"""From the stack's config to what the program needs: the manifest, what is copied, and the tokens as secrets."""

from __future__ import annotations

import os
from pathlib import Path

import pulumi

from components.egress_plan import assign_slots
from components.engine import EngineError
from components.errors import NOT_SHOWN, Finding, ManifestError
from components.machine import Machine
from components.manifest import Manifest
from components.preflight import available_memory, machine_findings
from components.validation import Examined, examine


def read_manifest(config: pulumi.Config, stack: str, base: Path, machine: Machine) -> Examined:
    """What this stack's file says, with a valid manifest, on a machine that can do it.

    Raises ManifestError with everything that is in the way, of the file and of the machine, in one go.
    """
    found = examine(config.get_object("bottle"), lambda ref: find_token(config, ref), base)
    findings = found.findings
    try:
        findings += machine_findings(stack, found.readable, machine, machine.known_ids, available_memory())
    except EngineError as error:
        findings.append(Finding("state", NOT_SHOWN, str(error)))
    if findings or found.manifest is None:
        raise ManifestError(findings)
    return found


def find_token(config: pulumi.Config, ref: str) -> str | None:
    """The secret of the stack of that name, else the host's variable of that name."""
    return config.get(ref) or os.environ.get(ref) if ref else None


def secret_tokens(config: pulumi.Config, manifest: Manifest) -> dict[str, pulumi.Output[str]]:
    """token_ref to its value, as secret outputs only."""
    return {ref: pulumi.Output.secret(find_token(config, ref) or "") for ref in assign_slots(manifest.egress)}
