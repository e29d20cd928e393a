"""Reads a tar archive made by an agent: only requested names, each once, within limits. Standard library only.

Root in the agent can replace its `tar`, so the agent determines every byte of the archive.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from typing import IO

from claude_bottle.policy.errors import BottleError, one_line

FILE, TOTAL = 4 << 30, 8 << 30  # bytes of one file and of all, including holes
_HEADER = 1 << 20  # bytes of a long name or of pax records
_HEADERS = frozenset((b"L", b"K", b"x", b"X"))  # the types of such headers
_BETWEEN = 8 << 20  # bytes of the headers of one member, with the map of a sparse one for 300,000 holes
_LINKS = 64 << 20  # characters of the targets of all links


class _Member(tarfile.TarInfo):
    """A member whose sizes are checked before use."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        member = super().frombuf(buf, encoding, errors)
        if member.size < 0 or (member.type in _HEADERS and member.size > _HEADER):
            raise tarfile.ReadError("a header has a size that cannot be")
        if member.type == tarfile.XGLTYPE:  # tarfile accumulates these until the archive's end; tar writes none
            raise tarfile.ReadError("a header is for all members")
        return member

    def _block(self, count: int) -> int:
        # CVE-2025-8194: a negative size, which pax records can set too, seeks backwards and loops for ever.
        if count < 0:
            raise tarfile.ReadError("a member has a negative size")
        return -(-count // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


class _Metered:
    """The archive. `left`: bytes that may still be read, because headers and sparse maps are otherwise unbounded."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.left = file, _BETWEEN
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        self.left -= size
        if self.left < 0:
            raise tarfile.ReadError("the headers of a member do not end")
        return self._file.read(size)


def members(file: IO[bytes], names: Iterable[str]) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Files of these names with their content, and links of these names with None. Other kinds are skipped.

    Raises BottleError for a name that was not requested or comes twice, and for too large or unreadable content.
    """
    wanted, total, links, metered = set(names), 0, 0, _Metered(file)
    try:
        with tarfile.open(fileobj=metered, mode="r:", tarinfo=_Member) as tar:  # type: ignore[call-overload]
            while (member := tar.next()) is not None:
                tar.members = []  # saves memory: members are not looked up by name
                name = one_line(member.name[:200])
                if member.name not in wanted:
                    raise BottleError(f"the archive holds {name}, which was not asked for, or twice")
                wanted.remove(member.name)
                total, links = total + max(member.size, 0), links + len(member.linkname)
                if member.size > FILE or total > TOTAL:
                    raise BottleError(f"{name}: more than {FILE >> 30} GB, or {TOTAL >> 30} GB in all")
                if links > _LINKS:
                    raise BottleError(f"{name}: the targets of links have more than {_LINKS >> 20} MB in all")
                metered.left = TOTAL
                if member.issym():
                    yield member, None
                elif member.isreg():
                    yield member, tar.extractfile(member)
                metered.left = _BETWEEN
    except (tarfile.TarError, KeyError, EOFError, ValueError, OverflowError, RecursionError) as error:
        raise BottleError(f"the archive of the workspace cannot be read ({error})") from None
