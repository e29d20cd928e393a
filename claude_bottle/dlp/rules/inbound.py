"""Finds instructions to an agent in responses, by the rules of inbound_rules.toml: a hint and no more. Pure.

It catches only naive attempts: whoever knows the rules can evade them, so a response without a finding is not safe. At
most LIMIT bytes of a response are scanned. They are never changed.
"""

from __future__ import annotations

import html
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from claude_bottle.dlp.rules.allow import compile_bytes
from claude_bottle.dlp.text.fold import folded
from claude_bottle.dlp.text.readings import unescaped

LIMIT = 1 << 20  # bytes of one response
OVERLAP = 4 << 10  # bytes that two pieces of a response share
MODES = ("off", "warn", "block")
_RULES = Path(__file__).parent / "inbound_rules.toml"
_KINDS = re.compile(r"text/|application/(?:[a-z0-9.+-]*\+)?(?:json|xml|xhtml|javascript|x-ndjson|jsonl|yaml|toml)\b")
_TAGS = re.compile(rb"</?[A-Za-z][^<>]{0,400}>")


@dataclass(frozen=True)
class Rule:
    """One kind of instruction. expression: over lower-case letters and single spaces."""

    id: str
    expression: Any


@cache
def rules() -> tuple[Rule, ...]:
    """The rules of the file, in its order."""
    tables = tomllib.loads(_RULES.read_text(encoding="utf-8"))["rule"]
    return tuple(Rule(one["id"], compile_bytes(one["expression"])) for one in tables)


def is_text(content_type: str) -> bool:
    """Whether a response of this type is scanned."""
    return _KINDS.match(content_type.strip().lower()) is not None


def instructions_in(data: bytes) -> list[str]:
    """Ids of the rules that match in a piece of a response, as it stands or as a person would read it."""
    plain = html.unescape(data.decode("utf-8", "replace")).encode() if b"&" in data else data
    plain = unescaped(plain) if b"\\" in plain else plain
    readings = {_flat(data), _flat(plain), _flat(_TAGS.sub(b" ", plain))}
    if not data.isascii():
        readings |= {_flat(part) for part in folded(plain)}
    return [rule.id for rule in rules() if any(rule.expression.search(reading) for reading in readings)]


def _flat(data: bytes) -> bytes:
    return " ".join(data.decode("utf-8", "replace").split()).lower().encode()
