"""docs/manifest.md is the model's, whole, with examples that hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from components.manifest import Manifest
from components.manifest_docs import EXAMPLES, keys, manifest_page

ROOT = Path(__file__).parents[2]


def test_the_stored_page_is_the_models() -> None:
    assert (ROOT / "docs/manifest.md").read_text() == manifest_page(), "run: make docs"


def test_every_key_has_an_example_and_every_example_a_key() -> None:
    assert [path for path, *_ in keys(Manifest)] == list(EXAMPLES)


def test_the_examples_are_accepted() -> None:
    """Each example is put at its key path, with what it needs beside it."""
    needs = {
        "egress.routes[].": {"host": "api.github.com", "token_ref": "GITHUB_TOKEN"},
        "pipelock.dlp.patterns[].": {"name": "ticket", "regex": "tkt_[a-z0-9]{32}"},
        "git[].": {"name": "project", "upstream": "git@git.example.com:acme/project.git"},
        "pipelock.allow[].": {"host": "registry.example.com"},
        "workspace.": {"path": "~/src/project"},
        "pipelock.image": {"engine": "upstream"},
    }
    for path, example in EXAMPLES.items():
        value: Any = yaml.safe_load(example.replace("sha256:…", "sha256:" + "0" * 64))
        for prefix in (path, *(path[: m.end()] for m in reversed(list(re.finditer(r"\.", path))))):
            if prefix.endswith("."):
                name = path[len(prefix) :] if "." not in path[len(prefix) :] else None
                inner = {**needs.get(prefix, {}), **({name: value} if name else value)}
                value = inner
                part = prefix[:-1].rpartition(".")[2]
                key = part.removesuffix("[]").removesuffix("{}")
                value = {key: [inner] if part.endswith("[]") else inner}
                if part.endswith("{}"):
                    value = {key: {"api.example.com": inner}}
        if "." not in path:
            value = {path: value}
        if path == "pipelock.image":
            value["pipelock"]["engine"] = "upstream"
        Manifest.model_validate(value)
