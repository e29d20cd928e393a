"""docs/messages.md is what the code answers, and each answer is one that a newcomer can act on."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from installed import checkout
from mistakes import ROOT, SECTIONS, Mistake, page, project
from test_manifest_words import FOREIGN

from claude_bottle.host.stack_names import must_be_known, must_be_remembered

ALL = [pytest.param(one, id=one.written[:60]) for mistakes in SECTIONS.values() for one in mistakes]


def test_the_stored_page_is_what_the_code_answers() -> None:
    assert (ROOT / "docs/messages.md").read_text() == page(), "run: make docs"
    assert len(ALL) > 100


@pytest.mark.parametrize("mistake", ALL)
def test_an_answer_is_one_line_for_each_mistake_in_our_words(mistake: Mistake) -> None:
    lines = mistake.answer().splitlines()
    assert len(lines) == mistake.lines, lines
    for line in lines:
        assert not FOREIGN.search(line), line
        assert "Traceback" not in line
        assert len(line) < 400


def test_the_page_is_linked() -> None:
    assert "docs/messages.md" in (ROOT / "README.md").read_text()


COMMANDS = {
    "./bottle": r"\./bottle secret \w+ [A-Z_]+|\./bottle repair \w+",
    "docker": r"docker network ls|docker volume rm [\w-]+",
}


def test_commands_in_answers_name_their_stack() -> None:
    text = "\n".join(one.answer() for mistakes in SECTIONS.values() for one in mistakes)
    for program, known in COMMANDS.items():
        for match in re.finditer(rf"(?<![\w/]){re.escape(program)} (?:secret|network|volume|repair)\b[^,;)\n]*", text):
            assert re.match(known, match[0]), match[0]
    assert "STACK=…" not in text
    assert "-s STACK" not in text


def test_a_secret_is_set_by_the_command_as_it_is_printed(tmp_path: Path) -> None:
    """It is run as it stands, for a bottle that was never up; the value is what a person types."""
    (command,) = {
        match[0]
        for mistakes in SECTIONS.values()
        for one in mistakes
        for match in re.finditer(COMMANDS["./bottle"], one.answer())
        if "ACME" in match[0]
    }
    checkout(tmp_path)
    file = tmp_path / "stacks/Pulumi.demo.yaml"
    file.write_text("config:\n  claude-bottle:bottle: {}  # mine\n")
    env = {**os.environ, "PULUMI_BACKEND_URL": f"file://{tmp_path}", "PULUMI_CONFIG_PASSPHRASE": "x"}
    env.pop("PULUMI_CONFIG_PASSPHRASE_FILE", None)
    value = "a-token-of-some-length"
    done = subprocess.run(["sh", "-c", command], input=value, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "claude-bottle:ACME_TOKEN:" in file.read_text()
    assert "# mine" in file.read_text()
    assert value not in file.read_text() + done.stdout + done.stderr
    done = subprocess.run(
        ["sh", "-c", command.replace("ACME_TOKEN", value)], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "write one like GITHUB_TOKEN" in done.stderr
    assert value not in done.stderr


def test_make_up_of_a_mistyped_stack_stops_at_the_name() -> None:
    done = subprocess.run(["make", "up", "STACK=no-such-stack"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "no bottle `no-such-stack`" in done.stderr
    assert "set-up:" not in done.stderr
    assert not (ROOT / "stacks/Pulumi.no-such-stack.yaml").exists()


def test_a_bottle_that_is_gone_is_known_by_what_is_kept_of_it() -> None:
    with project() as folder:
        log = folder / "state/claude-bottle/audit/old.jsonl"
        log.parent.mkdir(parents=True)
        log.write_text("")
        assert must_be_remembered("old") == "old"
        with pytest.raises(Exception, match="no bottle `old`"):
            must_be_known("old")
