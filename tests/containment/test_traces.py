"""A guess at a token that is right so far looks like one that is wrong: to the server, to the client, in both logs.

Through both real proxies, in requests and in what an upstream echoes, over HTTP/1.1 and HTTP/2, to a host with a token, one
without, and one that pipelock splices. The bench of the time is bench/token_timing.py.
"""

from __future__ import annotations

import json
import os
import string
import subprocess
from collections.abc import Iterator
from typing import Any

import framing_lab
import pytest
from lab import wire

pytestmark = pytest.mark.docker

TOKEN = framing_lab.TOKEN
LENGTHS = (1, 2, 3, 5, 8, 10, 11, 12, 13, 16, 20, 24, 30, len(TOKEN) - 1)
EVERY = "CLAUDE_BOTTLE_EXAMPLES" in os.environ  # make containment: every length at every place
PLACES = ((wire.HOST, "/key/t"), (wire.HOST, "/ok/t"), (wire.SPLICED, "/ok/t"))


@pytest.fixture(scope="module")
def traces() -> Iterator[subprocess.Popen[str]]:
    with framing_lab.container("lab.traces") as process:
        yield process


def trace(process: subprocess.Popen[str], guess: dict[str, Any]) -> dict[str, Any]:
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps({"quiet": 0.35, "ends": False, **guess}) + "\n")
    process.stdin.flush()
    result: dict[str, Any] = json.loads(process.stdout.readline())
    return result


def pair(process: subprocess.Popen[str], right: dict[str, Any], other: dict[str, Any]) -> list[dict[str, Any]]:
    """The traces of two guesses. A busy machine makes two alike differ; what tells of a token differs each time."""
    for quiet in (0.35, 1.0, 3.0):
        seen = [trace(process, {**guess, "quiet": quiet}) for guess in (right, other)]
        if seen[0] == seen[1]:
            break
    return seen


def wrong(text: str) -> str:
    """The same but for its last letter, which is another one of its kind."""
    for letters in (string.ascii_lowercase, string.ascii_uppercase, string.digits, "-_"):
        if text[-1] in letters:
            return text[:-1] + letters[(letters.index(text[-1]) + 1) % len(letters)]
    raise AssertionError(text)


@pytest.mark.parametrize(
    ("length", "host", "path"),
    [(length, *place) for place in PLACES for length in LENGTHS[:: 1 if EVERY or place[0] == wire.SPLICED else 5]],
)
@pytest.mark.parametrize("http", [1, 2])
def test_a_guess_alone_in_a_body(traces: subprocess.Popen[str], length: int, http: int, host: str, path: str) -> None:
    """The attack as it was: one piece that is only a guess, and nothing more; what is echoed comes back in an answer."""
    right = TOKEN[:length]
    asked = {"http": http, "host": host, "path": path}
    guesses: list[dict[str, Any]] = [{**asked, "pieces": [guess]} for guess in (right, wrong(right))]
    seen = pair(traces, *guesses)
    assert seen[0] == seen[1]
    # Where pipelock splices, the piece has arrived; elsewhere it holds what it reads, and on a busy machine, where the look
    # takes seconds, lets it go on as one of a body that pauses. No side was told of an end.
    pieces = [kind for kind, *_ in seen[0]["server"] if kind == "piece"]
    assert pieces == ["piece"] or (not pieces and host != wire.SPLICED)
    assert seen[0]["client"][-1] == ["open"]


@pytest.mark.parametrize(("host", "path"), PLACES)
@pytest.mark.parametrize("http", [1, 2])
@pytest.mark.parametrize("length", LENGTHS[3 :: 1 if EVERY else 4])
def test_a_guess_in_pieces_with_an_end(
    traces: subprocess.Popen[str], length: int, http: int, host: str, path: str
) -> None:
    right = TOKEN[:length]
    half = length // 2
    asked = {"http": http, "host": host, "path": path, "ends": True}
    pieces = [["words ", guess[:half] or "-", guess[half:], " more\n"] for guess in (right, wrong(right))]
    seen = pair(traces, *({**asked, "pieces": each} for each in pieces))
    assert seen[0] == seen[1]
    assert any(kind == "piece" for kind, *_ in seen[0]["server"])


@pytest.mark.parametrize("http", [1, 2])
def test_a_whole_token_is_cut_and_never_whole_outside(traces: subprocess.Popen[str], http: int) -> None:
    """The control: what a whole token does can be seen, so the traces above would show a difference."""
    asked = {"http": http, "host": wire.SPLICED, "path": "/ok/t"}
    whole = trace(traces, {**asked, "pieces": [TOKEN[:20], TOKEN[20:]]})
    other = trace(traces, {**asked, "pieces": [TOKEN[:20], wrong(TOKEN)[20:]]})
    assert whole != other
    assert [kind for kind, *_ in whole["server"] if kind == "piece"] == ["piece"]
    assert ["refused", "token_in_request", wire.SPLICED] in whole["logs"][1]
