"""Can the time that the mask takes tell how much of a token is right? `python bench/token_timing.py [rounds] [tokens]`

An attacker sends a beginning (or an end, or a part of the middle) of a token with the next letter right, and the same
with that letter wrong, and times both: once in a small body, and as often as it fits into a piece of 64 kB, which makes
a difference of a nanosecond one of microseconds. The bodies of a case take turns, in an order that changes. For each
case this prints the medians and the Mann-Whitney statistic as the share of pairs in which the right one took longer
than a wrong one (0.5: none), lowest and highest over the wrong ones.

Some letters take longer than others whatever the token is. So the first wrong letter is looked at as if it were the
right one too: only where right letters stand out more often than that does the time tell something of a token.

Expected: nothing. One token of each shape makes 10 tries of a case, too few to tell anything from chance, so the
default is 7 tokens. A case that is named should be looked at again with other tokens. No guess holds a whole block of
a core (dlp/tokens/whole.py: 12 letters or 16, 8 where a secret is shorter than 15): what follows one may be seen.
"""

from __future__ import annotations

import random
import statistics
import string
import sys
import time
from collections.abc import Callable
from math import sqrt
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from claude_bottle.dlp.tokens.reflection import MaskedStream, TokenMask, UploadWatch

OTHERS = 5  # wrong letters that each right one is compared with
PIECE = 65536
APART = 0.75  # share of pairs from which on one stands out
_LETTERS = string.ascii_letters + string.digits
_CHOICE = random.Random(20240611)  # noqa: S311 - the same tokens in every run

Work = Callable[[], Callable[[bytes], object]]


def token(shape: str) -> str:
    """A made-up token."""
    if shape == "ghp":
        return "ghp_" + "".join(_CHOICE.choices(_LETTERS, k=36))
    if shape == "sk-ant":
        return "sk-ant-oat01-" + "".join(_CHOICE.choices(_LETTERS + "-_", k=95))
    if shape == "pair":
        return "alice:" + "".join(_CHOICE.choices(_LETTERS, k=24))
    if shape == "short":
        return "".join(_CHOICE.choices(_LETTERS, k=14))
    return "".join(_CHOICE.choices("0123456789abcdef", k=40))


def cases(whole: str) -> dict[str, list[str]]:
    """What is sent: the right text first, then those with another letter in the place that is tried."""
    known = next((prefix for prefix in ("ghp_", "sk-ant-oat01-", "alice:") if whole.startswith(prefix)), "")
    core = whole[len(known) :]
    short = len(core) < 15
    out = {} if short else {"all but the last": [whole[:-1], *(whole[:-2] + letter for letter in others(whole[-2]))]}
    for length in (1, 2, 3, 4, 6) if short else (1, 2, 3, 4, 6, 8, 11):
        start = whole[: len(whole) - len(core)] + core[:length]
        middle, end = core[8 : 8 + length], core[-length:]
        out[f"begins, {length} of the core"] = [start, *(start[:-1] + letter for letter in others(start[-1]))]
        out[f"middle, {length}"] = [middle, *(middle[:-1] + letter for letter in others(middle[-1]))]
        out[f"ends, {length}"] = [end, *(letter + end[1:] for letter in others(end[0]))]
    return out


def others(letter: str) -> list[str]:
    kinds = (string.digits, string.ascii_lowercase, string.ascii_uppercase, "-_+/=.~")
    kind = next(kind for kind in kinds if letter in kind)
    return _CHOICE.sample([other for other in kind if other != letter], OTHERS)


def bodies(text: str) -> dict[str, bytes]:
    return {
        "once": b'{"model": "x", "text": "' + b"words " * 150 + text.encode() + b'"}\n',
        "often": (text + " ").encode() * (PIECE // (len(text) + 1)),
    }


def above(one: list[int], other: list[int]) -> float:
    """Mann-Whitney's U as the share of pairs in which `one` is larger; equal ones count half."""
    ranked = sorted([(value, 1) for value in one] + [(value, 0) for value in other])
    total, at = 0.0, 0
    while at < len(ranked):
        end = at
        while end < len(ranked) and ranked[end][0] == ranked[at][0]:
            end += 1
        total += (at + end + 1) / 2 * sum(which for _, which in ranked[at:end])
        at = end
    return (total - len(one) * (len(one) + 1) / 2) / (len(one) * len(other))


def times(work: Work, data: list[bytes], rounds: int) -> list[list[int]]:
    """Nanoseconds of each body."""
    taken: list[list[int]] = [[] for _ in data]
    order = list(range(len(data)))
    for _ in range(rounds):
        _CHOICE.shuffle(order)
        for which in order:
            feed = work()
            start = time.perf_counter_ns()
            feed(data[which])
            taken[which].append(time.perf_counter_ns() - start)
    return taken


def stands_out(shares: list[float]) -> bool:
    return min(shares) > APART or max(shares) < 1 - APART


def main(rounds: int, count: int) -> None:
    outcomes: dict[str, list[int]] = {}  # case: how often the right letter stands out, a wrong one, of how many
    for shape in ("ghp", "sk-ant", "hex", "pair", "short") * count:
        whole = token(shape)
        ways: dict[str, Work] = {}
        for how in ("tables", "compiled"):  # the two searches of claude_bottle/dlp/tokens/blocks.py
            mask = TokenMask([whole])
            mask.build()
            if how == "compiled":
                mask.compile()
            ways[f"upload, {how}"] = lambda mask=mask: UploadWatch(mask).feed  # type: ignore[misc]
            ways[f"answer, {how}"] = lambda mask=mask: MaskedStream(mask).feed  # type: ignore[misc]
        for way, work in ways.items():
            work()(b"warm " * 100)
            for case, texts in cases(whole).items():
                if way.startswith("answer") and case == "all but the last":
                    continue  # that much is masked, and may be seen
                for body in ("once", "often"):
                    taken = times(
                        work, [bodies(text)[body] for text in texts], rounds if body == "once" else rounds // 5
                    )
                    shares = [above(taken[0], some) for some in taken[1:]]
                    out = stands_out(shares)
                    control = stands_out([above(taken[1], some) for some in (taken[0], *taken[2:])])
                    counts = outcomes.setdefault(f"{way} {case}", [0, 0, 0])
                    outcomes[f"{way} {case}"] = [counts[0] + out, counts[1] + control, counts[2] + 1]
                    medians = [statistics.median(some) / 1e3 for some in taken]
                    print(
                        f"{shape:6} {way:16} {case:22} {body:5}  right {medians[0]:7.2f} us, wrong "
                        f"{min(medians[1:]):7.2f} to {max(medians[1:]):7.2f} us, longer in "
                        f"{min(shares):.2f} to {max(shares):.2f} of the pairs{'  OUT' if out else ''}"
                    )
    right, control, total = (sum(column) for column in zip(*outcomes.values(), strict=True))
    print(f"\nOf {total} cases the right letter stands out in {right}, a wrong one in its place in {control}.")
    chance = max(control / total, 0.01)
    usable = [
        f"{case} ({outs} of {tries})"
        for case, (outs, _, tries) in outcomes.items()
        if outs - tries * chance > 4 * sqrt(tries * chance * (1 - chance)) and outs > 2
    ]
    print(f"More often than chance: {', '.join(usable) or 'none'}.")
    print("A READER MAY USE THE TIME." if usable else "A reader can learn nothing of a token by the time.")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400, int(sys.argv[2]) if len(sys.argv) > 2 else 7)
