"""A policy file that is reread when it changes. A bad version never replaces a good one."""

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
    """Content that the last poll had not seen. mark: identifies the file's version. error: why it cannot be used."""

    mark: tuple[int, int, int] | str
    data: bytes = b""
    digest: str = ""
    parsed: T | None = None
    error: str | None = None


class ReloadingFile(Generic[T]):
    """Holds the parsed form of the file's last good content; `current` is None until there is one.

    `parse` takes bytes and raises ValueError for unacceptable content. After each poll with new content, `status` (a
    file) says which digest is live, which was offered, and why an offered one was refused. A poll has three steps, of
    which `parsed` changes nothing and may run in another thread; `poll` does all three.
    """

    def __init__(self, path: Path, parse: Callable[[bytes], T], status: Path | None = None) -> None:
        self._path, self._parse, self._status = path, parse, status
        self._seen: tuple[int, int, int] | str | None = None
        self.current: T | None = None
        self.live = ""  # SHA-256 of the content in force, in hexadecimal
        self.error: str | None = "no policy has been loaded yet"

    @property
    def looked(self) -> bool:
        """Whether a first poll has completed."""
        return self._seen is not None

    def poll(self) -> bool:
        """Poll the file. True if it differs from the last poll, whether it was accepted or refused."""
        offer = self.offered()
        if offer is not None:
            self.take(self.parsed(offer))
        return offer is not None

    def offered(self) -> Offer[T] | None:
        """The file's present content; None if the last poll saw the same."""
        offer = self._read()
        return None if offer.mark == self._seen else offer

    def parsed(self, offer: Offer[T]) -> Offer[T]:
        """The offer with its content parsed, or with the error of `parse`."""
        if offer.error is not None:
            return offer
        try:
            return replace(offer, parsed=self._parse(offer.data), data=b"")
        except (ValueError, RecursionError) as error:
            return replace(offer, error=str(error), data=b"")

    def take(self, offer: Offer[T]) -> None:
        """Put a parsed offer in force, as a whole; or note its error."""
        if offer.error is None:
            self.current, self.live = offer.parsed, offer.digest
        self._note(offer.mark, offer.digest, offer.error)

    def _read(self) -> Offer[T]:
        try:
            # Open only plain files: a link could be redirected between check and use, and a pipe would block its reader
            # forever.
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
            # If the disk is full, the status stays old, but the policy is in force all the same.
            with contextlib.suppress(OSError):
                temporary = self._status.with_suffix(".new")
                temporary.write_text(json.dumps({"live": self.live, "offered": offered, "error": error}))
                temporary.replace(self._status)
