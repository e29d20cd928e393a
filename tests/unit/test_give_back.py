"""What a process has taken goes back to the machine once it is not needed. Source: malloc_trim(3), NOTES."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Pieces of 60 kB, each in a circle, and between them small ones that stay: the top of the heap cannot shrink by itself.
PROGRAM = """
import asyncio, gc, sys
from addons.frame import give_back

class Piece:
    def __init__(self, size):
        self.data, self.me = bytearray(size), self

async def main():
    gc.freeze(); gc.disable()
    give_back._EVERY = 0.05
    first = give_back._resident()
    if sys.argv[1] == "with":
        give_back.addons[0].running()
    await asyncio.sleep(0.2)
    held, kept = [Piece(60_000) for _ in range(2500)], []
    for number in range(0, 2500):
        kept.append(bytearray(700))
        held[number].more = bytearray(60_000)
    held.clear()
    for _ in range(30):
        await asyncio.sleep(0.1)
        if give_back._resident() - first < 60 << 20:
            break
    print((give_back._resident() - first) >> 20)
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="proc(5)")
@pytest.mark.parametrize(("how", "back"), [("with", True), ("without", False)])
def test_memory_goes_back(how: str, back: bool) -> None:
    argv = [sys.executable, "-c", PROGRAM, how]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, timeout=300, check=True)
    assert (int(done.stdout) < 60) is back, done.stdout
