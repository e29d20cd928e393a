"""Searches blocks of bytes for blocks of secrets, such that its time reveals nothing about a nearly right one. Pure.

No letter of a secret is compared. Every block, of the secrets and of the data, is encrypted separately with a key of
this object (AES as a pseudorandom permutation), and encrypted blocks are compared. A block with one wrong letter is as
far from a secret's as any other, so the time of neither search below depends on how much of it is right.

The table of first halves is built in time linear in the number of blocks, and serves at once. `compile` replaces it by
hyperscan, which is four times as fast but takes 20 microseconds a block to build, more from some ten thousand on: run
it in another thread. Both find the same.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Collection

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

try:
    import hyperscan

    from claude_bottle.dlp.rules.scanner import Scanner
except ImportError:  # on the owner's machine, which checks manifests only, the tables serve
    Scanner = None  # type: ignore[assignment,misc]

BLOCK = 16  # bytes, AES
_ESCAPED = [b"\\x%02x" % byte for byte in range(256)]


class BlockSearch:
    """Searches for texts of one or more whole blocks each. A text's number is its index among them."""

    def __init__(self, texts: Collection[bytes]) -> None:
        self._cipher = Cipher(algorithms.AES(os.urandom(BLOCK)), modes.ECB())  # noqa: S305 - above
        self._local = threading.local()
        encrypted, at = self._encrypt(b"".join(texts)), 0
        self._numbers: dict[bytes, int] = {}
        for number, text in enumerate(texts):
            self._numbers[encrypted[at : at + len(text)]] = number
            at += len(text)
        self._lengths = sorted({len(text) for text in texts})
        self._firsts = frozenset(int.from_bytes(text[: BLOCK // 2], sys.byteorder) for text in self._numbers)
        self._scanner: Scanner | None = None

    def __bool__(self) -> bool:
        return bool(self._lengths)

    def _encrypt(self, blocks: bytes) -> bytes:
        """An encryptor serves one thread at a time ("Already borrowed"), so each searching thread has its own."""
        if not hasattr(self._local, "encryptor"):
            self._local.encryptor = self._cipher.encryptor()
        encrypted: bytes = self._local.encryptor.update(blocks)
        return encrypted

    def compile(self) -> None:
        """Make the search fast. May run in another thread while this one searches."""
        if self and self._scanner is None and Scanner is not None:
            self._scanner = Scanner(
                [(number, b"".join([_ESCAPED[byte] for byte in text])) for text, number in self._numbers.items()]
            )
            self._numbers, self._firsts = {}, frozenset()

    def ends(self, blocks: bytes, most: int = sys.maxsize) -> list[tuple[int, int]]:
        """(end in bytes, number) of each text found among the blocks; at most `most` + 1, which means that there are
        more."""
        # In this order, because `compile` empties the tables after it has set the scanner.
        firsts, numbers = self._firsts, self._numbers
        if self._scanner is not None:
            return _scanned(self._scanner, self._encrypt(blocks), most)
        encrypted, matches = self._encrypt(blocks), list[tuple[int, int]]()
        halves = memoryview(encrypted).cast("Q")[::2]  # 64 bits each; a hit is then compared as a whole
        if firsts.isdisjoint(halves):
            return matches
        for at in [at for at, half in enumerate(halves) if half in firsts]:
            for length in self._lengths:
                end = BLOCK * at + length
                number = numbers.get(encrypted[BLOCK * at : end])
                if number is not None and end <= len(encrypted) and len(matches) <= most:
                    matches.append((end, number))
        return matches


def _scanned(scanner: Scanner, encrypted: bytes, most: int) -> list[tuple[int, int]]:
    matches: list[tuple[int, int]] = []

    def add(number: int, _: int, end: int, *__: object) -> bool:
        if end % BLOCK == 0:
            matches.append((end, number))
        return len(matches) > most

    with contextlib.suppress(hyperscan.ScanTerminated):
        scanner.scan(encrypted, add)
    return matches
