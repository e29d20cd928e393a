"""Every message that a proxy sends is read by its next hop exactly as the proxy read it: the matrix, against the rule.

The real image's proxies, a strict HTTP/1.1 server and a strict HTTP/2 server; see framing_rule.py for the rule,
framing_cases.py and framing_answers.py for the matrix, framing_seeds.py and framing_seeds2.py for public collections.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import framing_answers
import framing_cases
import framing_seeds
import framing_seeds2
import framing_sockets
import pytest
from framing_lab import Batch, lab
from framing_rule import Case, violations

pytestmark = pytest.mark.docker

TALKS = list(framing_sockets.cases())
CASES = [
    *framing_cases.matrix(),
    *framing_answers.matrix(),
    *framing_seeds.matrix(),
    *framing_seeds2.matrix(),
]


def grouped() -> dict[str, list[Case]]:
    """The cases by way and kind: the name's first two words."""
    groups = defaultdict(list)
    for case in CASES:
        groups["/".join(case.name.split("/")[:2])].append(case)
    return groups


GROUPS = grouped()


@pytest.fixture(scope="module")
def batch() -> Iterator[Batch]:
    with lab() as runner:
        yield runner.run([case.given() for case in (*CASES, *(case for _, case in TALKS))])


def report(case: Case, why: list[str]) -> str:
    steps = [[str(word)[:300] for word in step] for step in case.steps]
    return "\n".join([f"{case.name} {case.source}", *(f"    {line[:400]}" for line in why), f"    sent: {steps}"])


def check(batch: Batch, cases: list[Case]) -> None:
    """Name the smallest cases that break the rule."""
    broken = [(case, why) for case in cases if (why := violations(case, batch.outcomes[case.id]))]
    broken.sort(key=lambda pair: len(str(pair[0].steps)))
    summary = "\n".join(report(case, why) for case, why in broken[:5])
    assert not broken, f"{len(broken)} of {len(cases)}\n{summary}"


@pytest.mark.parametrize("group", GROUPS)
def test_the_upstream_sees_what_was_sent_and_allowed(batch: Batch, group: str) -> None:
    check(batch, GROUPS[group])


@pytest.mark.parametrize(("talk", "case"), TALKS, ids=[case.name for _, case in TALKS])
def test_websockets_carry_messages_and_nothing_else(batch: Batch, talk: framing_sockets.Talk, case: Case) -> None:
    assert framing_sockets.faults(talk, batch.outcomes[case.id]) == []


def test_no_server_saw_a_request_of_no_case(batch: Batch) -> None:
    assert batch.unclaimed == []


def test_no_part_failed(batch: Batch) -> None:
    """Neither an exception in a layer nor one in a hook: a layer that raises leaves its connection in any state."""
    assert batch.alive
    said = {part: text[-3000:] for part, text in batch.errors.items() if text}
    assert not said, "\n".join(f"{part}: {text}" for part, text in said.items())
