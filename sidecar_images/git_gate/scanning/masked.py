"""Texts of a push for its owner: every secret that was found in the push is masked wherever it occurs. Pure."""

from __future__ import annotations

from collections.abc import Iterable

_SHOWN = 200  # characters of one text


class Mask:
    """secrets: all values found in the push, by any rule, and the gate's own credentials."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = sorted({secret for secret in secrets if secret.strip()})

    def hide(self, text: str) -> str:
        """The text with each run of secret characters replaced by a mask that states its length, so that two
        overlapping secrets are hidden as one. At most _SHOWN characters."""
        hidden = bytearray(len(text))
        for secret in self._secrets:
            at = text.find(secret)
            while at >= 0:
                hidden[at : at + len(secret)] = b"\1" * len(secret)
                at = text.find(secret, at + 1)
        parts, at = [], 0
        while at < len(text):
            end = at
            while end < len(text) and hidden[end] == hidden[at]:
                end += 1
            parts.append(f"[{end - at} letters]" if hidden[at] else text[at:end])
            at = end
        shown = "".join(parts)
        return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
