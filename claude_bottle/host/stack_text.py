"""Parses a stack file as a person wrote it. Errors say what to write. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from claude_bottle.manifest.config_keys import PROJECT
from claude_bottle.manifest.words import BOTTLE
from claude_bottle.policy.errors import BottleError


class StackTextError(BottleError):
    """The file cannot be read. The message says where and what to write."""


def read_config(text: str) -> Mapping[str, Any]:
    """The values under `config`, with full keys. Raises StackTextError."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise StackTextError(_not_yaml(text, error)) from None
    except ValueError as error:  # from an invalid date
        raise StackTextError(f"not YAML: {error}; put what looks like a date in quotes") from None
    config = document.get("config") if isinstance(document, Mapping) else None
    if not isinstance(config, Mapping):
        what = "is empty" if isinstance(document, Mapping) and "config" in document and config is None else "is missing"
        if config is not None:
            what = "is not a mapping"
        raise StackTextError(f"config: {what}; write config:, and {BOTTLE}: {{}} below it, indented by two spaces")
    # A key without a namespace gets the project's (Pulumi's docs, concepts/config, "Configuration options").
    return {key if ":" in str(key) else f"{PROJECT}:{key}": value for key, value in config.items()}


def _not_yaml(text: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return "not YAML: it cannot be read; save it as UTF-8 text"
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in line[: mark.column + 1]:
        return f"line {mark.line + 1}: a tab; YAML is indented with spaces: write two for each level"
    problem = str(getattr(error, "problem", None) or "it cannot be read")
    opened, closing = getattr(error, "context_mark", None), re.search(r"expected ',' or '([]}])'", problem)
    if opened is not None and closing:
        bracket = {"}": "{", "]": "["}[closing[1]]
        return (
            f"line {opened.line + 1}: the {bracket} of this line is not closed; write {closing[1]} where it ends, and a"
            " comma between its entries"
        )
    return f"line {mark.line + 1}: not YAML: {problem}; check this line and the one before it"
