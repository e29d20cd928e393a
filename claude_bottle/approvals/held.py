"""Content that a sidecar holds for a verdict, page by page, and how much of it the owner has not seen.

An approval of content that was not shown completely needs an explicit confirmation that names the amount.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from claude_bottle.host.state_folder import state_folder
from claude_bottle.manifest.change import Change
from claude_bottle.policy.errors import BottleError, printable
from claude_bottle.policy.whole_file import write_whole

_KEPT = 200  # contents for which the pages shown are remembered
GONE = "this content is no longer held; let the agent retry and ask again"


class Holder(Protocol):
    """Access to a sidecar's held content. `Inbox` implements it."""

    def held(self, part: str, digest: str) -> dict[str, Any] | None: ...

    def page(self, part: str, digest: str, number: int) -> dict[str, Any] | None: ...


@dataclass(frozen=True)
class Unseen:
    """How much of the total has not been shown. unit: pages or bytes."""

    count: int
    total: int
    unit: str

    def __str__(self) -> str:
        return f"{self.count} of {self.total} {self.unit}" if self.count else ""


class HeldContent:
    """The content that one change would let through."""

    def __init__(self, holder: Holder, stack: str, change: Change) -> None:
        self._holder, self._part, self._digest = holder, str(change.grants), str(change.value)
        self._seen = Seen(stack)

    def show(self, number: int = 1) -> dict[str, Any]:
        """One page for the owner: `what`, `why`, `text`, `page`, `pages`, and `unseen` after this page.

        The page counts as shown from now on. Raises BottleError if there is no such page or the content is gone.
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
        """How much has not been shown. Zero for content that is gone, because no approval lets it through."""
        content = self._holder.held(self._part, self._digest)
        return self._unseen(content) if content is not None else Unseen(0, 0, "pages")

    def must_be_seen(self, accepted: int | None) -> None:
        """accepted: how much the owner agrees to approve unseen; None: any amount. Raises BottleError."""
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
        # An excerpt instead of pages: each replacement character in it stands for at least one byte that was not shown.
        shown = (
            0
            if text.startswith("(") and size > len(text)
            else sum(1 if character == "\ufffd" else len(character.encode("utf-8", "replace")) for character in text)
        )
        return Unseen(max(size - shown, 0), size, "bytes")


class Seen:
    """Which pages of which contents the owner of this machine has seen, on the page or in a terminal."""

    def __init__(self, stack: str) -> None:
        self._file = state_folder("seen") / f"{stack}.json"

    def of(self, digest: str) -> set[int]:
        """The numbers of the pages that were shown."""
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
            return {}  # treated as nothing shown

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = os.open(self._file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)
