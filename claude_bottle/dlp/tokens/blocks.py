"""Finds blocks of secrets among blocks of bytes, so that no one can tell by the time how nearly right one is. Pure.

No letter of a secret is compared: every block, of the secrets as of what is looked at, is encrypted for itself with a
key of this object (AES as a pseudorandom permutation), and encrypted ones are looked for. A block with one letter wrong
is as far from a secret's as any other, so neither of the two searches below can tell by its time how much of it is
right.

A table of the first halves is made in a time that grows with the number of blocks, and serves at once. `compile` puts
hyperscan in its place, which is four times as fast and takes 20 microseconds a block to make, more from some ten
thousand on: a thing for another thread. Both find the same.
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
except ImportError:  # on the owner's machine, where only a manifest is looked at: the tables serve
    Scanner = None  # type: ignore[assignment,misc]

BLOCK = 16  # bytes, AES
_ESCAPED = [b"\\x%02x" % byte for byte in range(256)]


class BlockSearch:
    """Looks for some texts, each of one or more whole blocks; a text's number is its place among them."""

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
        """An encryptor is for one thread at a time ("Already borrowed"), and each that searches has its own."""
        if not hasattr(self._local, "encryptor"):
            self._local.encryptor = self._cipher.encryptor()
        encrypted: bytes = self._local.encryptor.update(blocks)
        return encrypted

    def compile(self) -> None:
        """Make the search fast. May run in another thread, while this one searches."""
        if self and self._scanner is None and Scanner is not None:
            self._scanner = Scanner(
                [(number, b"".join([_ESCAPED[byte] for byte in text])) for text, number in self._numbers.items()]
            )
            self._numbers, self._firsts = {}, frozenset()

    def ends(self, blocks: bytes, most: int = sys.maxsize) -> list[tuple[int, int]]:
        """Where texts end among blocks, and which; more than `most` are not looked for, but one to tell so."""
        # Read in this order: `compile` empties the tables when it has put the scanner in their place.
        firsts, numbers = self._firsts, self._numbers
        if self._scanner is not None:
            return _scanned(self._scanner, self._encrypt(blocks), most)
        encrypted, matches = self._encrypt(blocks), list[tuple[int, int]]()
        halves = memoryview(encrypted).cast("Q")[::2]  # 64 bits each; what is found by them is looked at whole
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
