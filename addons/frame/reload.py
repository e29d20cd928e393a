"""A policy file that is read again when it changes; a bad one never replaces a good one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_ISREG
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Offer(Generic[T]):
    """What a look has found that the last one had not. mark: which file it was. error: why it cannot be had."""

    mark: tuple[int, int, int] | str
    data: bytes = b""
    digest: str = ""
    parsed: T | None = None
    error: str | None = None


class ReloadingFile(Generic[T]):
    """Holds what `parse` made of the file's last good content; `current` is None until there was one.

    `parse` takes bytes and raises ValueError for content that it does not accept. After each look at new content,
    `status` (a file) says which digest is live, which was offered, and why an offered one was refused. A look has three
    steps, of which `parsed` changes nothing and may run in another thread; `poll` takes them all.
    """

    def __init__(self, path: Path, parse: Callable[[bytes], T], status: Path | None = None) -> None:
        self._path, self._parse, self._status = path, parse, status
        self._seen: tuple[int, int, int] | str | None = None
        self.current: T | None = None
        self.live = ""  # SHA-256 of the content in force
        self.error: str | None = "no policy was given yet"

    @property
    def looked(self) -> bool:
        """Whether a first look has come to its end."""
        return self._seen is not None

    def poll(self) -> bool:
        """Look at the file; True if it was different from the last look (taken or refused)."""
        offer = self.offered()
        if offer is not None:
            self.take(self.parsed(offer))
        return offer is not None

    def offered(self) -> Offer[T] | None:
        """What is there now; None if it was there at the last look, too."""
        offer = self._read()
        return None if offer.mark == self._seen else offer

    def parsed(self, offer: Offer[T]) -> Offer[T]:
        """The same with what `parse` makes of it, or why it makes nothing."""
        if offer.error is not None:
            return offer
        try:
            return replace(offer, parsed=self._parse(offer.data), data=b"")
        except (ValueError, RecursionError) as error:
            return replace(offer, error=str(error), data=b"")

    def take(self, offer: Offer[T]) -> None:
        """Put what was parsed in force, all of it or nothing."""
        if offer.error is None:
            self.current, self.live = offer.parsed, offer.digest
        self._note(offer.mark, offer.digest, offer.error)

    def _read(self) -> Offer[T]:
        try:
            # A link could be pointed at something else between the check and the use: only a plain file counts. A pipe
            # would let its reader wait for ever.
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            return Offer(f"missing:{error.errno}", error=f"cannot read {self._path.name}: {error.strerror}")
        try:
            stat = os.fstat(descriptor)
            if not S_ISREG(stat.st_mode):
                return Offer("not plain", error=f"{self._path.name} is not a plain file")
            mark = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if mark == self._seen:
                return Offer(mark)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read()
        except OSError as error:
            return Offer(f"unreadable:{error.errno}", error=f"cannot read {self._path.name}: {error.strerror}")
        finally:
            os.close(descriptor)
        return Offer(mark, data, hashlib.sha256(data).hexdigest())

    def _note(self, mark: tuple[int, int, int] | str, offered: str, error: str | None) -> None:
        self._seen, self.error = mark, error
        if self._status is not None:
            # On a full disk nobody is told that it is live, and the policy holds all the same.
            with contextlib.suppress(OSError):
                temporary = self._status.with_suffix(".new")
                temporary.write_text(json.dumps({"live": self.live, "offered": offered, "error": error}))
                temporary.replace(self._status)
