"""docs/manifest.md is the model's, whole, with examples that hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from placed import placed

from claude_bottle.manifest.docs import EXAMPLES, keys, manifest_page
from claude_bottle.manifest.model import Manifest
from claude_bottle.plan.page import with_keys_of_routes

ROOT = Path(__file__).parents[2]


def test_the_stored_page_is_the_models() -> None:
    assert (ROOT / "docs/manifest.md").read_text() == manifest_page(), "run: make docs"


def test_the_page_of_the_plan_has_the_keys_of_routes() -> None:
    page = (ROOT / "docs/plan.md").read_text()
    assert page == with_keys_of_routes(page), "run: make docs"


def test_every_key_has_an_example_and_every_example_a_key() -> None:
    assert [path for path, *_ in keys(Manifest)] == list(EXAMPLES)


def test_the_examples_are_accepted() -> None:
    """Each example is put at its key path, with what it needs beside it."""
    for path, example in EXAMPLES.items():
        value: Any = yaml.safe_load(example.replace("sha256:…", "sha256:" + "0" * 64))
        Manifest.model_validate(placed(path, value))
