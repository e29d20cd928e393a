"""What is wrong with a stack file, found without the engine and without Pulumi."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from components.engine_address import engine_variables
from components.errors import BottleError
from components.stack_size import too_large
from components.validation import examine

PROJECT = "claude-bottle"


def findings(text: str, base: Path, *, ask_for_tokens: bool = True) -> list[str]:
    """A line for each thing; empty where all is in order.

    base: the folder of the file. ask_for_tokens: whether a token that is nowhere counts. The value of an encrypted
    secret is not looked at.
    """
    try:
        told = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        return [f"not YAML{where}: {getattr(error, 'problem', None) or 'it cannot be read'}"]
    config = told.get("config") if isinstance(told, Mapping) else None
    if not isinstance(config, Mapping):
        return ["config: write a mapping with claude-bottle:bottle in it"]
    found = [wrong] if (wrong := too_large(text)) else []
    try:
        engine_variables(config)
    except BottleError as error:
        found.append(str(error))
    encrypted = {key.partition(":")[2] for key, value in config.items() if _is_secret(key, value)}

    def token(ref: str) -> str | None:
        stands_for = secrets.token_urlsafe(32)  # of no value that can be in what is copied
        if ref in encrypted or not ask_for_tokens:
            return stands_for
        return os.environ.get(ref)

    return found + [str(one) for one in examine(config.get(f"{PROJECT}:bottle"), token, base).findings]


def _is_secret(key: object, value: Any) -> bool:
    return str(key).startswith(f"{PROJECT}:") and isinstance(value, Mapping) and "secure" in value
