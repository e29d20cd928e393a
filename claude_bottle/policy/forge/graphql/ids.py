"""The IDs that GitHub's answers gave for things of a repository: with these a GraphQL request may name them. Pure.

An ID says nothing of its repository to who does not know how GitHub makes them ("opaque", docs.github.com/en/graphql/
guides/using-global-node-ids). So an ID counts as a repository's once an answer about it has given it as the `id` of a
thing in it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Any

_MOST, _LONGEST = 20_000, 256  # IDs that are kept, the latest; characters of one
PERSON = ""  # in place of a repository


class OutsideError(Exception):
    """A request does not keep to its repositories; the message says why, for the agent."""


class Steps:
    """What may be looked at still of one request or answer. Raises OutsideError beyond it."""

    def __init__(self, most: int) -> None:
        self._left = most

    def take(self, steps: int = 1) -> None:
        self._left -= steps
        if self._left < 0:
            raise OutsideError("there is too much of it to look at")


class KnownIds:
    """The IDs of one host: each with its repository, `owner/name` in lower case, or PERSON."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, str] = OrderedDict()

    def add(self, id_: str, whose: str) -> None:
        """Keep an ID; the oldest goes where there are too many. A thing of a repository is no person any more."""
        if len(id_) > _LONGEST or (whose == PERSON and self._found.get(id_, PERSON) != PERSON):
            return
        self._found[id_] = whose
        self._found.move_to_end(id_)
        if len(self._found) > _MOST:
            self._found.popitem(last=False)

    def repository(self, id_: Any, repositories: Collection[str]) -> str:
        """Whose an ID is. Raises OutsideError unless it is of one of these repositories."""
        whose = self._found.get(id_, PERSON) if isinstance(id_, str) else PERSON
        if whose == PERSON or whose not in repositories:
            raise OutsideError(
                "it names something by an ID that no answer about the repository gave yet; ask for that first, by "
                "repository(owner:, name:) { … { id } }"
            )
        return whose

    def is_person(self, id_: Any) -> bool:
        """Whether an answer gave this ID for somebody, a team or a bot."""
        return isinstance(id_, str) and self._found.get(id_) == PERSON
