"""A stack file that Pulumi cannot give to its program. Source: execve(2), MAX_ARG_STRLEN: 131,072 bytes with the end."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from claude_bottle.host.stack_size import MOST, cannot_go_up, too_large
from claude_bottle.host.stack_text import read_config


def text(routes: int) -> str:
    entries = [{"host": f"h{n:05}.example.com", "path": ["/a", "/b"]} for n in range(routes)]
    return yaml.safe_dump({"config": {"claude-bottle:bottle": {"egress": {"routes": entries}}}})


@pytest.mark.parametrize(("routes", "fits"), [(10, True), (1500, True), (5000, False)])
def test_many_routes(routes: int, fits: bool) -> None:
    assert (too_large(text(routes)) is None) == fits
    assert fits or "two bottles" in str(too_large(text(routes)))


def test_what_is_no_stack_file_is_somebody_elses_to_tell() -> None:
    assert [too_large(one) for one in ("", "{", "a", "config: 1", "config: {a: b}")] == [None] * 5


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("config:\n\tclaude-bottle:bottle: {}\n", "line 2: a tab"),
        ("config:\n  claude-bottle:bottle:\n    agent:\n\t  memory: 2g\n", "line 4: a tab"),
        ("config:\n  claude-bottle:bottle: {agent: {memory: 2g}\n", "line 2: the { of this line is not closed"),
        ("a: 'b\n", "not YAML"),
        ("config: {a:b: 2026-99-99T00:00:00Z}\n", "in quotes"),
        ("\x00", "save it as UTF-8 text"),
        ("", "config: is missing; write config:, and claude-bottle:bottle: {} below it"),
        ("- config\n", "config: is missing"),
        ("config:\n", "config: is empty"),
        ("config: [bottle]\n", "config: is not a mapping"),
    ],
)
def test_what_pulumi_would_tell_in_words_of_its_own_is_told_first(written: str, words: str) -> None:
    said = cannot_go_up(written)
    assert said is not None
    assert words in said
    assert "\n" not in said


def test_a_key_without_a_namespace_is_the_projects() -> None:
    """As Pulumi reads it: a preview of `config: {bottle: {}}` is one of a bottle."""
    assert read_config("config: {bottle: {}, docker:host: x}") == {"claude-bottle:bottle": {}, "docker:host": "x"}
    assert cannot_go_up("config: {bottle: {until: 2026-01-31T12:00:00Z}}") is None


def test_the_limit_is_the_kernels() -> None:
    def starts(size: int) -> bool:
        try:
            subprocess.run(["true"], env={"PATH": os.environ["PATH"], "PULUMI_CONFIG": "x" * size}, check=True)
        except OSError:
            return False
        return True

    assert Path("/proc/self/environ").exists(), "this is about Linux"
    assert (starts(MOST), starts(MOST + 1)) == (True, False)
