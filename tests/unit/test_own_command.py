"""Every command in a message exists, and stands in the form that runs from where the person stands.

The source is read: each string of the rooms that speak to a person. What a command of a message does is tried by
tests/integration/test_said_commands.py.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from said_commands import ROOT, help_of, make, wrong

from claude_bottle.cli.app import app
from claude_bottle.policy.own_command import CALLED, KEPT, called_from, own_command

ROOMS = ("components", "dashboard", "claude_bottle", "toolchain", "addons", "sidecar_images")
FILES = [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))] + [ROOT / "__main__.py"]
VERBS = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
# What stands for a value where the source has an expression.
VALUES = {
    "stack or 'NAME'": "NAME",
    "verb": "show",
    "name": "demo",
    "stack": "demo",
    "self.stack": "demo",
    "args.stack": "demo",
    "ref": "ACME_TOKEN",
}


def text_of(node: ast.AST, other: str = "x") -> str:
    """A string of the source, with a word for each expression in it."""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else VALUES.get(ast.unparse(part.value), other)  # type: ignore[attr-defined, misc]
            for part in node.values
        )
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def read(file: Path) -> tuple[list[str], list[str]]:
    """What is handed to own_command, and all other strings; not what describes a module, a class or a function."""
    tree = ast.parse(file.read_text())
    asked, skipped = list[str](), set[int]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            skipped |= {id(first.value)} if isinstance(first, ast.Expr) else set()
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "own_command":
            asked.append(text_of(node.args[0]))
            skipped |= {id(inner) for inner in ast.walk(node)}
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values}
    strings = [text_of(node, "…") for node in ast.walk(tree) if id(node) not in skipped]
    return asked, [text for text in strings if text]


READ = {file.relative_to(ROOT): read(file) for file in FILES}
ASKED = [pytest.param(words, id=f"{file} {words}") for file, (asked, _) in READ.items() for words in asked]


@pytest.mark.parametrize("words", ASKED)
def test_each_command_of_ours_exists_with_its_options(words: str) -> None:
    assert words, "a text that this test can read"
    assert not wrong(f"bottle {words}")


def test_they_are_read() -> None:
    assert len(ASKED) > 40
    assert {words.split()[0] for words in (param.values[0] for param in ASKED)} >= {
        "up",
        "down",
        "secret",
        "ask",
        "repair",
    }


def mentions(program: str) -> Iterator[tuple[Path, str]]:
    """Where a string has this program with a word after it, to the end of what can be one command."""
    for file, (_, strings) in READ.items():
        for text in strings:
            for match in re.finditer(rf"(?<![\w./:=-]){re.escape(program)} [\w-][^`;,()\n]*", text):
                yield file, match[0].strip()


# Where `bottle VERB` stands as it is, because nobody knows who will read it, or from where.
AS_IT_IS = {
    "claude_bottle/project.py": "a comment in a program that is kept",
    "claude_bottle/cli": "help, with an example of each verb, and the comments of a stack file",
    "claude_bottle/policy/routes/values.py": "said by a sidecar too; claude_bottle/checks/validation.py puts the form in",
    "claude_bottle/checks/validation.py": "what it replaces",
    "claude_bottle/manifest/docs.py": "said on a page",
    "claude_bottle/manifest/model.py": "a description in the manifest's schema",
    "claude_bottle/policy/no_approval.py": "said by a sidecar, which has no checkout",
    "addons": "said by a sidecar, which has no checkout",
}


def test_a_command_of_ours_is_said_by_the_one_function() -> None:
    for program in ("bottle", "./bottle"):
        for file, command in mentions(program):
            if command.split()[1] in VERBS and not command.startswith("bottle attach"):
                assert any(str(file).startswith(place) for place in AS_IT_IS), f"{file}: own_command({command!r})"
                # Up to where the sentence goes on.
                said = re.split(r" {2,}|\.$| (?:shows|brings|prints|writes|it up|asks)", command)[0].replace(
                    " brings", ""
                )
                assert not wrong(said, whole=False), file


# `make` is there in a checkout alone, and Pulumi in an activated shell alone: what still names them.
MAKE = {
    ("claude_bottle/cli/app.py", "make setup"): "said where the command itself cannot run; a wheel has its libraries",
    ("claude_bottle/manifest/agent_env.py", "make docs"): "the page that says so is made from it, in a checkout",
    ("claude_bottle/manifest/docs.py", "make docs"): "the page that says so is made from it, in a checkout",
}
PULUMI = {
    "pulumi stack ls": "what was run, and failed",
    "pulumi up": "what an approval or a plan is about, or says that it does",
    "pulumi destroy": "what the owner is warned of, with the command to use instead",
    "pulumi stack rename": "takes back what was done with Pulumi itself; there is no verb for it",
    "pulumi plugin install": "what the set-up offers beside its own way",
}


def test_make_and_pulumi_are_named_in_few_places_and_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {(str(file), command) for file, command in mentions("make") if command.split()[1] in targets}
    assert named == set(MAKE)
    assert not [problem for _, command in MAKE if (problem := make(command.split()[1:]))]
    if not help_of("pulumi"):
        pytest.skip("no pulumi on PATH")
    verbs = set(re.findall(r"^\s+([a-z-]+)\s", help_of("pulumi"), re.MULTILINE))
    said = {command for _, command in mentions("pulumi") if command.split()[1] in verbs}
    assert not [command for command in said if not command.startswith(tuple(PULUMI))]
    for command in PULUMI:
        assert any(one.startswith(command) for one in said), command
        assert not wrong(command), command


def test_the_verbs_of_docker_and_git_exist() -> None:
    for program in ("docker", "git"):
        commands = {command for file, command in mentions(program) if not re.search(r"[$|{]", command)}
        verbs = {command.split()[1] for command in commands if re.fullmatch(r"[a-z]+(?:-[a-z]+)+", command.split()[1])}
        assert not [problem for verb in verbs if (problem := wrong(f"{program} {verb}"))]


# --- the form


def test_from_where_a_person_stands(tmp_path: Path) -> None:
    checkout = tmp_path / "my checkout"
    (checkout / "docs/more").mkdir(parents=True)
    assert called_from(checkout, checkout) == "bottle", "an installation has no such file"
    (checkout / "bottle").touch()
    assert called_from(checkout, checkout) == "./bottle"
    assert called_from(checkout / "docs/more", checkout) == "../../bottle"
    assert called_from(tmp_path, checkout) == f"'{checkout}/bottle'", "as a shell takes it"
    assert called_from(tmp_path, None) == "bottle", "a sidecar"
    assert KEPT == "./bottle"


def test_the_command_says_how_it_was_called(tmp_path: Path) -> None:
    """It works in the checkout, wherever it was called, so that the folder it works in says nothing."""
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "PULUMI_BACKEND_URL": f"file://{tmp_path}"}
    env.pop(CALLED, None)
    for folder, typed in ((ROOT, "./bottle"), (ROOT / "docs", "../bottle"), (tmp_path, str(ROOT / "bottle"))):
        done = subprocess.run([typed, "plan", "no-such"], cwd=folder, env=env, capture_output=True, text=True)
        assert done.stderr.strip().endswith(f"; {typed} init no-such makes one"), done.stderr
    activated = 'source "$0/activate" && cd /tmp && bottle plan no-such'
    done = subprocess.run(["bash", "-c", activated, ROOT], env=env, capture_output=True, text=True)
    assert done.stderr.strip().endswith("; bottle init no-such makes one"), done.stderr


def test_own_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CALLED, raising=False)
    monkeypatch.chdir(ROOT)
    assert own_command("up demo") == "./bottle up demo"
    monkeypatch.setenv(CALLED, "bottle")
    assert own_command("up demo") == "bottle up demo"


@pytest.mark.parametrize(
    ("typed", "suppressed"),
    [
        ("up --yes", "true"), ("destroy", "true"), ("refresh", "true"), ("up", "true"),
        ("preview", ""), ("up --json", ""), ("stack output plan --json", ""), ("", ""),
    ],
)  # fmt: skip
def test_in_an_activated_shell_pulumi_does_not_print_the_plan_after_a_run(
    tmp_path: Path, typed: str, suppressed: str
) -> None:
    """A program that reads what Pulumi prints gets all of it."""
    (tmp_path / "pulumi").write_text('#!/bin/sh\necho "<$PULUMI_OPTION_SUPPRESS_OUTPUTS> $*"\n')
    (tmp_path / "pulumi").chmod(0o755)
    script = f'source "{ROOT}/activate"; PATH="{tmp_path}:$PATH"; pulumi {typed}'
    env = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
    done = subprocess.run(["bash", "-eu", "-c", script], env=env, capture_output=True, text=True)
    assert done.stdout.strip() == f"<{suppressed}> {typed}".strip(), done.stderr
    mine = subprocess.run(
        ["bash", "-c", script], env={**env, "PULUMI_OPTION_SUPPRESS_OUTPUTS": "false"}, capture_output=True, text=True
    )
    assert mine.stdout.startswith("<false>")
