"""The proc-receive hook: answers pushes for review, for which the mirror, like the forge, keeps no ref.

githooks(5), proc-receive: packets with version, commands and push options in, one with a verdict for each command out.
pre-receive has already scanned and forwarded them, and written down the refs that the upstream accepted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import BinaryIO

from .receive import accepted_file


def packets(source: BinaryIO) -> Iterator[bytes]:
    """The packets up to the next flush. Raises ValueError on anything else."""
    while size := int(source.read(4), 16):
        yield source.read(size - 4).rstrip(b"\n")


def packet(text: bytes) -> bytes:
    """One packet."""
    return b"%04x%b" % (len(text) + 4, text)


def answers(source: BinaryIO, out: BinaryIO, accepted: set[str]) -> None:
    """Talk to receive-pack. Only refs in `accepted` are answered with ok."""
    list(packets(source))
    out.write(packet(b"version=1") + b"0000")
    out.flush()
    refs = [line.split(b" ", 2)[2] for line in packets(source)]
    for ref in refs:
        yes = ref.decode("utf-8", "surrogateescape") in accepted
        out.write(packet(b"ok " + ref if yes else b"ng " + ref + b" the upstream has not taken it"))
    out.write(b"0000")
    out.flush()


def main() -> None:
    """receive-pack is the parent, as for pre-receive."""
    text = accepted_file(os.getppid()).read_text(errors="surrogateescape")
    answers(sys.stdin.buffer, sys.stdout.buffer, set(text.splitlines()))


if __name__ == "__main__":
    main()
