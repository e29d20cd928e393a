"""docs/operations.md: every fault has its tests, and they exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINES = [line for line in (ROOT / "docs/operations.md").read_text().splitlines() if line.startswith("| ")]
FAULTS = [line for line in LINES if not line.startswith("| fault |")]


@pytest.mark.parametrize("fault", FAULTS, ids=[line.split("|")[1].strip() for line in FAULTS])
def test_a_fault_has_what_happens_what_to_do_and_tests_that_exist(fault: str) -> None:
    cells = [cell.strip() for cell in fault.strip("| ").split(" | ")]
    assert len(cells) == 4
    assert all(cells)
    named = re.findall(r"`(tests/[a-z_/0-9]+\.py)::(test_\w+)`", cells[3])
    assert named
    for file, test in named:
        text = (ROOT / file).read_text()
        assert re.search(rf"^(?:async )?def {test}\(", text, re.MULTILINE), f"{file}::{test}"


def test_the_page_is_linked() -> None:
    assert "docs/operations.md" in (ROOT / "README.md").read_text()
