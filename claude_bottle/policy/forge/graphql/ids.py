"""The ids of things of a repository, from GitHub's responses. A GraphQL request may name only these. Pure.

An id does not reveal its repository, unless one knows how GitHub makes it ("opaque", docs.github.com/en/graphql/guides/
using-global-node-ids). So an id counts as a repository's once a response has given it as the `id` of a thing in it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Any

_MOST, _LONGEST = 20_000, 256  # ids that are stored, the latest; characters of one
PERSON = ""  # instead of a repository


class OutsideError(Exception):
    """A request reaches outside its repositories. The message tells the agent why."""


class Steps:
    """The remaining steps for one request or response. Raises OutsideError when they are used up."""

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
        """Store an id and drop the oldest beyond the limit. An id of a repository is never changed to a person's."""
        if len(id_) > _LONGEST or (whose == PERSON and self._found.get(id_, PERSON) != PERSON):
            return
        self._found[id_] = whose
        self._found.move_to_end(id_)
        if len(self._found) > _MOST:
            self._found.popitem(last=False)

    def repository(self, id_: Any, repositories: Collection[str]) -> str:
        """The repository of an id. Raises OutsideError unless it is one of these repositories."""
        whose = self._found.get(id_, PERSON) if isinstance(id_, str) else PERSON
        if whose == PERSON or whose not in repositories:
            raise OutsideError(
                "it names something by an ID that no answer about the repository gave yet; ask for that first, by "
                "repository(owner:, name:) { … { id } }"
            )
        return whose

    def is_person(self, id_: Any) -> bool:
        """Whether a response gave this id for a person, a team or a bot."""
        return isinstance(id_, str) and self._found.get(id_) == PERSON
