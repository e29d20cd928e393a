"""The files that a Dockerfile copies from its context, by its COPY and ADD lines. An image's digest covers them.

Reads files and changes none. Standard library only, because set-up imports it before anything is installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from pathlib import Path, PurePosixPath

_INSTRUCTION = re.compile(r"\s*(COPY|ADD|RUN)\s+(.*)", re.IGNORECASE | re.DOTALL)


def taken(dockerfile: Path, context: Path) -> list[Path]:
    """Files and links of the context that the build can copy into the image, sorted, and the Dockerfile itself.

    Files that `.dockerignore` excludes are not included. If a line cannot be resolved without the builder (a variable
    in a source, a bind of the context), every file of the context counts, because too few would keep an outdated image.
    """
    ignored = Ignored.of(dockerfile, context)
    sources = _sources(dockerfile.read_text())
    files = {dockerfile}
    for source in ["."] if sources is None else sources:
        clean = source.strip("/") or "."
        for top in [context] if clean == "." else context.glob(clean):
            walk = [top] if top.is_file() or top.is_symlink() else top.rglob("*")
            files |= {path for path in walk if path.is_file() or path.is_symlink()}
    return sorted(path for path in files if path == dockerfile or not ignored(path.relative_to(context)))


def digest(dockerfile: Path, context: Path, *, exact_modes: bool) -> str:
    """SHA-256 of names, modes and contents of the files that the build copies. Links are not followed.

    exact_modes: the build keeps the modes of the context. If not, only the owner's execute bit counts.
    """
    whole = hashlib.sha256()
    for path in taken(dockerfile, context):
        name = os.path.relpath(path, context)
        if path.is_symlink():
            content, mode = str(path.readlink()).encode(), 0
        else:
            content, mode = path.read_bytes(), path.stat().st_mode & (0o7777 if exact_modes else 0o100)
        whole.update(f"{name}\0{mode}\0{path.is_symlink()}\0{len(content)}\0".encode(errors="surrogateescape"))
        whole.update(content)
    return whole.hexdigest()


def _sources(text: str) -> list[str] | None:
    """Source patterns below the context; None if they cannot be determined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    patterns = []
    for line in re.sub(r"\\[ \t]*\n", " ", "\n".join(lines)).splitlines():
        match = _INSTRUCTION.match(line)
        if not match:
            continue
        words, flags = _words(match[2])
        if match[1].upper() == "RUN":
            if any(flag.startswith("--mount") and "type=bind" in flag and "from=" not in flag for flag in flags):
                return None
        elif not any(flag.startswith("--from") for flag in flags):
            sources = [word for word in words[:-1] if not re.match(r"[a-z+]+://", word)]
            if any("$" in source or ".." in source.split("/") for source in sources) or "<<" in match[2]:
                return None
            patterns += sources
    return patterns


def _words(rest: str) -> tuple[list[str], list[str]]:
    """Words and flags of an instruction, in shell or JSON form."""
    flags = []
    while match := re.match(r"\s*(--\S+)\s*", rest):
        flags.append(match[1])
        rest = rest[match.end() :]
    try:
        if rest.startswith("["):
            return [str(word) for word in json.loads(rest)], flags
        return shlex.split(rest), flags
    except ValueError:
        return rest.split(), flags


class Ignored:
    """The patterns of a `.dockerignore`. The last match decides, and `!` negates."""

    def __init__(self, text: str) -> None:
        self._rules = []
        for line in text.splitlines():
            keep = line.startswith("!")
            pattern = line[keep:].strip().strip("/").removeprefix("./")
            if pattern and not line.startswith("#"):
                self._rules.append((re.compile(_regex(pattern)), not keep))

    @classmethod
    def of(cls, dockerfile: Path, context: Path) -> Ignored:
        """The patterns of this Dockerfile's own ignore file if it has one, as in BuildKit, else of the context's."""
        for file in (dockerfile.with_name(f"{dockerfile.name}.dockerignore"), context / ".dockerignore"):
            if file.is_file():
                return cls(file.read_text(errors="replace"))
        return cls("")

    def __call__(self, path: Path) -> bool:
        pure = PurePosixPath(path)
        names = [str(pure), *(str(parent) for parent in pure.parents if str(parent) != ".")]
        left_out = False
        for rule, out in self._rules:
            if any(rule.fullmatch(name) for name in names):
                left_out = out
        return left_out


def _regex(pattern: str) -> str:
    regex, rest = "", pattern
    while rest:
        if rest.startswith("**/"):
            regex, rest = regex + "(?:.*/)?", rest[3:]
        elif rest.startswith("**"):
            regex, rest = regex + ".*", rest[2:]
        elif rest[0] in "*?":
            regex, rest = regex + ("[^/]*" if rest[0] == "*" else "[^/]"), rest[1:]
        elif match := re.match(r"\[\^?[^\]]+\]", rest):
            regex, rest = regex + match[0], rest[match.end() :]
        elif rest[0] == "\\" and len(rest) > 1:
            regex, rest = regex + re.escape(rest[1]), rest[2:]
        else:
            regex, rest = regex + re.escape(rest[0]), rest[1:]
    return regex
