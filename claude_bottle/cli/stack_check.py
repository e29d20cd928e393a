"""Checks a stack file without the engine and without Pulumi."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claude_bottle.checks.validation import examine
from claude_bottle.engines.chosen import must_be_an_engine
from claude_bottle.host.stack_size import too_large
from claude_bottle.host.stack_text import StackTextError, read_config
from claude_bottle.manifest.config_keys import PROJECT, config_findings, mistyped_bottle
from claude_bottle.manifest.secrets_in_clear import token_names
from claude_bottle.manifest.words import BOTTLE
from claude_bottle.policy.errors import BottleError, Finding
from claude_bottle.presets.use import use_presets


@dataclass(frozen=True)
class Checked:
    """findings: problems. hints: keys that are valid but renamed. A line for each."""

    findings: list[str]
    hints: list[str]


def findings(text: str, base: Path, *, stack: str = "", ask_machine: bool = True) -> list[str]:
    """The problems, as `check` reports them."""
    return check(text, base, stack=stack, ask_machine=ask_machine).findings


def check(text: str, base: Path, *, stack: str = "", ask_machine: bool = True) -> Checked:
    """Problems and hints of a stack file.

    base: the folder of the file. stack: its name. ask_machine: whether tokens and package clients that this machine
    lacks are problems. The values of encrypted secrets are not checked.
    """
    try:
        config = read_config(text)
    except StackTextError as error:
        return Checked([str(error)], [])
    lines = [wrong] if (wrong := too_large(text)) else []
    try:
        must_be_an_engine(config)
    except BottleError as error:
        lines.append(str(error))
    encrypted = {key.partition(":")[2] for key, value in config.items() if _is_secret(key, value)}

    def token(ref: str) -> str | None:
        stands_for = secrets.token_urlsafe(32)  # a random value, which no copied file contains
        if ref in encrypted or not ask_machine:
            return stands_for
        return os.environ.get(ref)

    raw, unanswered = config.get(BOTTLE), list[Finding]()
    if ask_machine:
        raw, unanswered = use_presets(raw, base)
    keys = {str(key): _is_secret(key, value) for key, value in config.items()}
    wrong_keys = config_findings(keys, stack, token_names(raw) if isinstance(raw, Mapping) else ())
    examined = examine(raw, token, base, dict.fromkeys(encrypted, ""), stack)
    seen = [] if mistyped_bottle(keys) else examined.findings
    return Checked(lines + [str(one) for one in (*wrong_keys, *unanswered, *seen)], list(examined.names.hints()))


def _is_secret(key: object, value: Any) -> bool:
    return str(key).startswith(f"{PROJECT}:") and isinstance(value, Mapping) and "secure" in value
