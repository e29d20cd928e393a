"""The two searches for encrypted blocks: what a set of plain bytes finds, both must find."""

from __future__ import annotations

import random
import threading

import pytest

from claude_bottle.dlp.tokens.blocks import BLOCK, BlockSearch

CHANCE = random.Random(21)
# One of two blocks begins as one of one block does; two differ in the second block alone, and in their last byte.
TEXTS = [CHANCE.randbytes(BLOCK) for _ in range(300)]
TEXTS += [TEXTS[0] + TEXTS[1], TEXTS[0] + TEXTS[2], TEXTS[3][:-1] + b"\0", bytes(BLOCK)]


def searches() -> dict[str, BlockSearch]:
    kinds = {name: BlockSearch(TEXTS) for name in ("a table", "compiled")}
    kinds["compiled"].compile()
    return kinds


def planted(*texts: bytes) -> bytes:
    return b"".join(CHANCE.randbytes(3 * BLOCK) + text for text in texts)


def expected(data: bytes) -> list[tuple[int, int]]:
    return sorted(
        (at + len(text), number)
        for at in range(0, len(data), BLOCK)
        for number, text in enumerate(TEXTS)
        if data.startswith(text, at)
    )


@pytest.mark.parametrize("name", ["a table", "compiled"])
def test_every_text_is_found_where_it_is_and_nowhere_else(name: str) -> None:
    search = searches()[name]
    for data in (planted(*TEXTS), b"".join(TEXTS), planted(*(text[:-1] + b"\1" for text in TEXTS)), b"", bytes(BLOCK)):
        assert sorted(search.ends(data)) == expected(data)
    shifted = b"12345678" + TEXTS[5] + b"12345678"  # blocks are looked at as they are cut
    assert search.ends(shifted) == []


@pytest.mark.parametrize("name", ["a table", "compiled"])
def test_what_is_found_has_a_bound(name: str) -> None:
    assert len(searches()[name].ends(TEXTS[7] * 1000, 10)) == 11


def test_none_is_looked_for() -> None:
    search = BlockSearch([])
    assert not search
    search.compile()
    assert search.ends(bytes(BLOCK)) == []


def test_a_search_goes_on_while_the_other_is_put_in_its_place() -> None:
    search, data = BlockSearch(TEXTS), planted(*TEXTS)
    wanted, wrong, done = expected(data), list[object](), threading.Event()

    def look() -> None:
        while not done.is_set():
            ends = sorted(search.ends(data))
            if ends != wanted:
                wrong.append(ends)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    search.compile()
    assert sorted(search.ends(data)) == wanted
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
