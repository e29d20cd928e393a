"""Texts of a push for its owner's eyes: every secret that was found in the push is masked, wherever it stands. Pure."""

from __future__ import annotations

from collections.abc import Iterable

_SHOWN = 200  # letters of one text


class Mask:
    """secrets: all that was found in the push, whoever found it first, and the gate's own."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = sorted({secret for secret in secrets if secret.strip()})

    def hide(self, text: str) -> str:
        """The text with a mask, which tells the length, for each run of letters that is of a secret; so two that
        overlap are hidden as one.
        """
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
