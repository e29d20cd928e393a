"""What a part holds for a verdict, page by page, and how much of it the owner has not been shown.

An approval of what was not wholly shown needs an explicit word, and that word names how much it was.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from claude_bottle.host.state import state_folder
from claude_bottle.manifest.change import Change
from claude_bottle.policy.errors import BottleError, printable
from claude_bottle.policy.whole_file import write_whole

_KEPT = 200  # contents of which it is known what was shown
GONE = "this content is no longer held; let the agent retry and ask again"


class Holder(Protocol):
    """The part's side of it; `Inbox` is one."""

    def held(self, part: str, digest: str) -> dict[str, Any] | None: ...

    def page(self, part: str, digest: str, number: int) -> dict[str, Any] | None: ...


@dataclass(frozen=True)
class Unseen:
    """How much has not been shown, and of how much. unit: pages or bytes."""

    count: int
    total: int
    unit: str

    def __str__(self) -> str:
        return f"{self.count} of {self.total} {self.unit}" if self.count else ""


class HeldContent:
    """One content that a change lets through."""

    def __init__(self, holder: Holder, stack: str, change: Change) -> None:
        self._holder, self._part, self._digest = holder, str(change.grants), str(change.value)
        self._seen = Seen(stack)

    def show(self, number: int = 1) -> dict[str, Any]:
        """One page as the owner is shown it: `what`, `why`, `text`, `page`, `pages`, and what is `unseen` after that.

        It counts as shown from now on. Raises BottleError where there is no such page.
        """
        content = self._holder.held(self._part, self._digest)
        if content is None:
            raise BottleError(GONE)
        pages, text = int(content.get("pages", 1)), str(content.get("excerpt", ""))
        if number != 1:
            page = self._holder.page(self._part, self._digest, number)
            if page is None:
                raise BottleError(f"there is no page {number}; there are {pages}")
            text = str(page["text"])
        self._seen.add(self._digest, number)
        unseen = self._unseen(content)
        return {
            **{key: printable(str(content[key])) for key in ("what", "headers", "why") if key in content},
            "text": printable(text),
            "page": number,
            "pages": pages,
            "unseen": {"count": unseen.count, "text": str(unseen)},
        }

    def unseen(self) -> Unseen:
        """What has not been shown; nothing of a content that is gone, for no approval lets that through."""
        content = self._holder.held(self._part, self._digest)
        return self._unseen(content) if content is not None else Unseen(0, 0, "pages")

    def must_be_seen(self, accepted: int | None) -> None:
        """accepted: how much the owner has said to approve unseen; None: all that there is. Raises BottleError."""
        unseen = self.unseen()
        if accepted is not None and unseen.count > accepted:
            raise BottleError(f"{unseen} have not been shown; view them, or confirm that you approve them unseen")

    def _unseen(self, content: dict[str, Any]) -> Unseen:
        if "pages" in content:
            pages = int(content["pages"])
            return Unseen(pages - len(self._seen.of(self._digest) & set(range(1, pages + 1))), pages, "pages")
        text, size = str(content.get("excerpt", "")), int(content.get("size", 0))
        if 1 not in self._seen.of(self._digest):
            return Unseen(size, size, "bytes") if size else Unseen(1, 1, "pages")
        # An excerpt in place of pages: a mark in it stands for one byte at least that could not be shown.
        shown = (
            0
            if text.startswith("(") and size > len(text)
            else sum(1 if character == "\ufffd" else len(character.encode("utf-8", "replace")) for character in text)
        )
        return Unseen(max(size - shown, 0), size, "bytes")


class Seen:
    """Which pages of which contents the owner of this machine has been shown, on the page or on the terminal."""

    def __init__(self, stack: str) -> None:
        self._file = state_folder("seen") / f"{stack}.json"

    def of(self, digest: str) -> set[int]:
        """The numbers of the pages."""
        return set(self._read().get(digest, []))

    def add(self, digest: str, page: int) -> None:
        with self._alone():
            seen = self._read()
            pages = sorted({*seen.pop(digest, []), page})
            seen = dict([*list(seen.items())[-_KEPT + 1 :], (digest, pages)])
            write_whole(self._file, json.dumps(seen).encode())

    def _read(self) -> dict[str, list[int]]:
        try:
            return dict(json.loads(self._file.read_text()))
        except (OSError, ValueError):
            return {}  # then nothing has been shown

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = os.open(self._file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)
