"""The mutations of tests/containment still find what they take away."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mutation_table import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[mutation.what for mutation in MUTATIONS])
def test_each_edit_has_its_place(mutation: Mutation) -> None:
    for file, pattern, _ in mutation.edits:
        assert re.search(pattern, (ROOT / file).read_text()), (file, pattern)
