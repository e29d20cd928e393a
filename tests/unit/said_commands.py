"""Whether a command that a page or a message tells exists as it is told: the verb, its options, the target, the module.

Nothing is run but `--help` of programs. What a command does is tried by tests/integration/test_docs_blocks.py.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import typer.main

from claude_bottle.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
# Programs whose options are not looked up, with the reason.
ELSEWHERE = {
    "claude": "is in the agent's image; its options are tried in a bottle",
    "gh": "is in no image of this project; tests/integration/test_forge_gh.py runs it",
    "glab": "is in no image of this project",
    "kubectl": "is what another engine would have",
    "uv": "makes locks and installs wheels; the set-up does not bring it",
    "pipx": "installs wheels; the set-up does not bring it",
    "npm": "is in the agent's image; here it makes a lock",
}
_PLAIN = ("true", "cd", "cp", "rm", "mv", "tar", "export", "env", "sh", "bash", "source", ".", "cat")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z_0-9]*=")
OURS = ("bottle", "./bottle", "make", "pulumi", "docker", "git", "python", "python3", ".venv/bin/python")
PROGRAMS = (*OURS, *ELSEWHERE, "source")


def wrong(line: str, *, whole: bool = True) -> str:
    """Why a line of shell is not a command that there is; "" where it is. whole: no argument may be missing."""
    for words in (command for way in _ways(line) for command in commands(way)):
        if problem := _one(words, whole):
            return f"{shlex.join(words)}: {problem}"
    return ""


def _ways(line: str) -> Iterator[str]:
    """Each way in which a line with `[--an option | --another]` or `this|that` can be typed, one choice at a time."""
    if match := re.search(r"\[(-[^\]]*)\]", line):
        for choice in ("", *match[1].split(" | ")):
            yield from _ways(f"{line[: match.start()]}{choice}{line[match.end() :]}")
    elif match := re.search(r"\b[a-z]+(?:\|[a-z]+)+", line):
        for choice in match[0].split("|"):
            yield from _ways(f"{line[: match.start()]}{choice}{line[match.end() :]}")
    else:
        yield line


def commands(line: str) -> Iterator[list[str]]:
    """The words of each command of a line; of `$(…)`, of both sides of `&&` and of a pipe."""
    line = re.sub(r"\$\(([^()]*)\)", r" ; \1 ; ", line)
    reader = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
    reader.commenters, reader.whitespace_split = "#", True
    words: list[str] = []
    for word in (*reader, ";"):
        if word in (";", "&&", "||", "|", "(", ")", "&"):
            while words and _ASSIGNMENT.match(words[0]):
                words.pop(0)
            if words:
                yield words
            words = []
        else:
            words.append(word)


def _one(words: list[str], whole: bool) -> str:
    program, *rest = words
    for mark in ("<", ">"):
        rest = rest[: rest.index(mark)] if mark in rest else rest
    if program in ("bottle", "./bottle"):
        return bottle(rest, whole)
    if program == "make":
        return make(rest)
    if program in ("python", "python3", ".venv/bin/python"):
        return python(rest, whole)
    if program in ("pulumi", "docker"):
        return by_help(program, rest)
    if program == "git":
        return _git(rest)
    if program in _PLAIN or program in ELSEWHERE or program.startswith(("$", ".venv/", "VIRTUAL")):
        return ""
    return "this test does not know the program"


def bottle(words: list[str], whole: bool = True) -> str:
    command: Any = typer.main.get_command(app)
    path = ["bottle"]
    while getattr(command, "commands", None) and words and not words[0].startswith("-"):
        name, *words = words
        if name.isupper():  # VERB
            return ""
        if name not in command.commands:
            return f"no verb {name} in `{' '.join(path)}`"
        command = command.commands[name]
        path.append(name)
    known = {opt: one for one in command.params for opt in (*one.opts, *one.secondary_opts) if opt.startswith("-")}
    given, most = 0, sum(1 for one in command.params if not one.opts[0].startswith("-"))
    open_end = any(one.nargs == -1 for one in command.params)
    words = list(words)
    while words:
        word = words.pop(0)
        if word == "--":
            given += len(words)
            break
        if not word.startswith("-"):
            given += 1
            continue
        option, equals, _ = word.partition("=")
        if option in ("--help", "-h"):
            return ""
        if option not in known:
            return f"`{' '.join(path)}` has no {option}"
        if not known[option].is_flag and not equals:
            if not words:
                return f"{option} takes a value"
            words.pop(0)
    if given > most and not open_end:
        return f"`{' '.join(path)}` takes {most} arguments"
    if whole and given < sum(1 for one in command.params if one.required and not one.opts[0].startswith("-")):
        return f"`{' '.join(path)}` takes more arguments"
    return ""


@cache
def _recipes() -> dict[str, str]:
    parts = re.split(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def make(words: list[str]) -> str:
    if words[:1] == ["-C"]:
        words = words[2:]
    targets = [word for word in words if "=" not in word]
    for target in targets:
        if target not in _recipes():
            return f"no target {target}"
    for word in words:
        name, equals, _ = word.partition("=")
        if equals and not any(
            f"({name})" in _recipes()[target] or f"({name})," in _recipes()[target] for target in targets
        ):
            return f"{name} means nothing to {' '.join(targets)}"
    return ""


class _ParsedError(Exception):
    """The arguments were taken."""


class _RefusedError(Exception):
    """They were not."""


def python(words: list[str], whole: bool = True) -> str:
    if words[:1] == ["-m"]:
        module, *rest = words[1:]
        if module in ("pytest", "venv"):
            return ""
        if module == "toolchain" and rest[:2] == ["run", "--"]:
            return wrong(shlex.join(rest[2:]), whole=whole) if rest[2:] else ""
        with mock.patch.object(sys, "path", [str(ROOT), *sys.path]):
            try:
                spec = importlib.util.find_spec(module)
            except ModuleNotFoundError:
                spec = None
        return _parsed(module, rest, whole) if spec else f"no module {module}"
    if not words or not (ROOT / words[0]).is_file():
        return "no such file"
    text = (ROOT / words[0]).read_text()
    absent = [word for word in words[1:] if word.startswith("--") and f'"{word}"' not in text]
    return f"{words[0]} has no {absent[0]}" if absent else ""


def _parsed(module: str, words: list[str], whole: bool) -> str:
    """Whether the module's own parser takes these."""
    entry = importlib.import_module(f"{module}.__main__" if module == "toolchain" else module)
    parse = argparse.ArgumentParser.parse_args

    def parse_only(self: Any, *_: Any) -> None:
        parse(self, words)
        raise _ParsedError

    def refuse(_: Any, message: str) -> None:
        raise _RefusedError(message)

    with (
        mock.patch.object(argparse.ArgumentParser, "parse_args", parse_only),
        mock.patch.object(argparse.ArgumentParser, "error", refuse),
        contextlib.suppress(_ParsedError),
    ):
        try:
            entry.main()
        except _RefusedError as refused:
            missing = "the following arguments are required" in str(refused)
            return "" if missing and not whole else str(refused)
    return ""


@cache
def help_of(*words: str) -> str:
    """What a program says of itself; "" where it is not there."""
    if shutil.which(words[0]) is None:
        return ""
    done = subprocess.run([*words, "--help"], capture_output=True, text=True, check=False, timeout=300)
    return done.stdout + done.stderr


def by_help(program: str, words: list[str]) -> str:
    """Verbs and options as `PROGRAM VERB --help` lists them."""
    if not help_of(program):
        return ""
    path, options = [program], list[str]()
    words = [word for word in words if word != "--"]
    while words and words[0] == "-H":  # of docker, with its address
        words = words[2:]
    for place, word in enumerate(words):
        if word.startswith("-"):
            options.append(word.partition("=")[0])
        elif (
            len(path) == place + 1
            and re.fullmatch(r"[a-z]+", word)
            and re.search(rf"^\s+{word}\*?\s", help_of(*path), re.MULTILINE)
        ):
            path.append(word)
        elif len(path) == 1:
            return f"no verb {word}"
        else:  # arguments; those of what runs in a container are not docker's
            if path[1:2] in (["exec"], ["run"]):
                break
    text = help_of(*path)
    for option in options:
        letters = [option] if option.startswith("--") else [f"-{letter}" for letter in option[1:]]
        for one in letters:
            if not re.search(rf"(?<![\w-]){re.escape(one)}(?![\w-])", text):
                return f"`{' '.join(path)}` has no {one}"
    return ""


@cache
def _git_verbs() -> frozenset[str]:
    listed = subprocess.run(["git", "--list-cmds=main"], capture_output=True, text=True, check=False)
    return frozenset(listed.stdout.split())


def _git(words: list[str]) -> str:
    while words[:1] in (["-c"], ["-C"]):
        words = words[2:]
    if not words or words[0] == "lfs":  # an extension, not there on every machine
        return ""
    return "" if words[0] in _git_verbs() else f"no verb {words[0]}"
