"""Whether a manifest's value may appear in a message, which ends up in terminals, logs and CI storage. Pure."""

from __future__ import annotations

import re

# Keys where people paste credentials by mistake: their values are never shown.
_KEYS = frozenset(["auth_scheme", "placeholder", "upstream", "upstream_proxy", "identity_file", "known_hosts"])
_INDEX = re.compile(r"\[\d+\]")
# User information (RFC 3986, 3.2.1), a scheme and its credentials (RFC 9110, 11.4), a field of a query (RFC 3986, 3.4).
_PARTS = re.compile(
    r"@|:(?!//)(?![0-9]+(?:[/?#]|\Z))\S|^\s*(?:bearer|basic|token|digest)\s|[?&#][^=]*=\S", re.IGNORECASE
)
_RUN = re.compile(r"[A-Za-z0-9_+=-]{20,}")
_MIXED = re.compile(r"(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{12,}")


def may_be_shown(path: str, value: object) -> bool:
    """Whether the value at a key path may be shown: a number, true, false, or a text that cannot hold a credential."""
    last = _INDEX.sub("", path).rpartition(".")[2]
    if path.partition(".")[0] == "env" or last in _KEYS or last.endswith("_ref"):
        return False
    if isinstance(value, str | int | float):
        return not (_PARTS.search(str(value)) or _RUN.search(str(value)) or is_mixed(str(value)))
    return False


def is_mixed(text: str) -> bool:
    """Whether letters and digits are mixed as in no word, but as in credentials."""
    return bool(_MIXED.search(text))


def quotes(message: str, value: str) -> bool:
    """Whether a message about a value repeats a part of it that may not be shown."""
    user, at, _ = value.rpartition("@")
    secret = user.rpartition("://")[2].split(":") if at else re.findall(r":(?!//)([^\s/:]+)", value)
    pieces = [*secret, *_RUN.findall(value), *_MIXED.findall(value)]
    return any(len(piece) > 3 and piece in message for piece in pieces)
