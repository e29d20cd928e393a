"""Asks the owner's own clients where they get their packages: pip, npm, go, cargo, Maven, apt.

They run in an empty folder of the owner's, so that no file of a workspace takes effect, and only with the variables of
claude_bottle/presets/own_files.py. No program and no file of a workspace is used. Answers are limited in time and size,
and judged by claude_bottle/presets/answers.py.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import tempfile
import tomllib
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from claude_bottle.host.bounded import run_bounded
from claude_bottle.host.state_folder import state_folder
from claude_bottle.policy.errors import BottleError
from claude_bottle.presets.answers import NoAnswer, Told
from claude_bottle.presets.own_files import OwnFiles

SECONDS, BYTES = 20.0, 1 << 20
_ALWAYS = {
    "COLUMNS": "1000", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1",
    "PYTHONNOUSERSITE": "1", "PYTHONSAFEPATH": "1",  # a package installed for one user may come from a workspace
    "NPM_CONFIG_UPDATE_NOTIFIER": "false", "NPM_CONFIG_LOGS_MAX": "0", "GOWORK": "off", "GOTOOLCHAIN": "local",
}  # fmt: skip
_DEFAULT = re.compile(r"Python Package Index \(default (\S+?)\)")
_WORD = re.compile(r"[!-~]{1,2000}\Z")


class Clients:
    """aside: folders whose programs and files are not used, such as a workspace, where an agent may have written."""

    def __init__(self, aside: Sequence[Path] = ()) -> None:
        self.own = OwnFiles(aside)
        folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
        self._path = os.pathsep.join(one for one in folders if Path(one).is_absolute() and self.own.has(Path(one)))
        self._known: dict[str, Told] = {}

    def ask(self, client: str) -> Told:
        """The answer of a client. Raises NoAnswer."""
        if client not in self._known:
            self._known[client] = _QUESTIONS[client](self)
        return self._known[client]

    def find(self, program: str) -> str | None:
        """The file of a program; None if it is missing or in an excluded folder."""
        file = shutil.which(program, path=self._path)
        return file if file and self.own.has_program(Path(file)) else None

    def run(self, program: str, *arguments: str) -> list[str]:
        """The lines that a program prints. Raises NoAnswer."""
        if (file := self.find(program)) is None:
            raise NoAnswer(f"{program} is not on this machine, so it cannot be asked")
        given = self.own.variables(program)
        out = io.BytesIO()
        with tempfile.TemporaryDirectory(dir=state_folder("presets")) as empty:
            if not self.own.has(Path(empty)):
                raise NoAnswer(f"this project's own folder is in a workspace, so {program} is not asked there")
            env = {**_ALWAYS, **given, "NPM_CONFIG_CACHE": empty, "TMPDIR": empty, "PATH": self._path, "PWD": empty}
            try:
                argv = [file, *arguments]
                run_bounded(argv, program, out=out, seconds=SECONDS, most=BYTES, env=env, cwd=empty)
            except (BottleError, OSError):  # not shown, because the message may contain text of its files
                raise NoAnswer(f"{program} has no answer to `{' '.join([program, *arguments][:4])}`") from None
        return out.getvalue().decode(errors="replace").splitlines()

    def read(self, file: Path) -> bytes | None:
        """The content of a file of the owner's; None if it does not exist. Raises NoAnswer if it must not be read."""
        if not file.is_file():
            return None
        if not self.own.has(file) or file.stat().st_size > BYTES:
            raise NoAnswer(f"{file.name} is in a workspace, or is larger than {BYTES >> 20} MB, so it is not read")
        try:
            return file.read_bytes()
        except OSError:
            raise NoAnswer(f"{file.name} cannot be read") from None


def _word(client: str, text: str) -> str:
    if not _WORD.match(text):
        raise NoAnswer(f"{client} reports no address")
    return text


def _pip(clients: Clients) -> Told:
    # The help shows the index in force: from a variable, pip's files, or pip's default. `pip config` omits the default.
    match = _DEFAULT.search(" ".join(clients.run("pip", "install", "--help")))
    index = _word("pip", match[1] if match else "")
    return Told([index], {"index": index})


def _npm(clients: Clients) -> Told:
    lines = clients.run("npm", "config", "get", "registry", "--global")
    registry = _word("npm", lines[-1].strip() if lines else "")
    # Its path follows from `prefix`, which the owner's file may set.
    files = clients.run("npm", "config", "get", "globalconfig", "--global")
    if not files or not clients.own.has(Path(files[-1].strip())):
        raise NoAnswer("npm has its config in a workspace")
    return Told([registry], {"registry": registry})


def _go(clients: Clients) -> Told:
    lines = [*clients.run("go", "env", "GOPROXY", "GOSUMDB"), "", ""]
    proxies = [one for one in re.split("[,|]", lines[0].strip()) if one not in ("", "direct", "off")]
    if not proxies:
        raise NoAnswer("go has no module proxy")
    # GOSUMDB: a name, a name and its key, or both and an address (go help environment).
    words = lines[1].split()[:2] or ["off"]
    database = [] if words[0] == "off" else [words[1] if len(words) > 1 else f"https://{words[0].partition('+')[0]}"]
    checksums = " ".join(words)
    return Told(
        [_word("go", one) for one in [*proxies, *database]], {"proxies": ",".join(proxies), "checksums": checksums}
    )


def _cargo(clients: Clients) -> Told:
    home = clients.own.folder(clients.own.folder(Path.home(), "HOME") / ".cargo", "CARGO_HOME")
    sources = _sources(clients, home)
    replaced = str(sources.get("crates-io", {}).get("replace-with", ""))
    if replaced:
        registry = sources.get(replaced, {}).get("registry")
        if not isinstance(registry, str) or not registry.startswith("sparse+"):
            raise NoAnswer("cargo's replacement of its index is no sparse registry")
        return Told([registry.removeprefix("sparse+")])
    used = list((home / "registry/index").glob("*/config.json"))
    if len(used) != 1:
        raise NoAnswer("cargo has no replacement of its index, and has not used one index alone")
    # The folder's name has the index's host and a digest. `dl` is the address of its files.
    match = re.search(rb'"dl"\s*:\s*"([!#-~]{1,2000})"', clients.read(used[0]) or b"")
    if match is None:
        raise NoAnswer("cargo's index does not say where its files are")
    return Told([f"https://{used[0].parent.name.rpartition('-')[0]}", match[1].decode().partition("{")[0]])


def _sources(clients: Clients, home: Path) -> dict[str, Any]:
    for name in ("config", "config.toml"):  # cargo reads only the first that exists
        data = clients.read(home / name)
        if data is None:
            continue
        try:
            sources = tomllib.loads(data.decode()).get("source", {})
        except ValueError:
            raise NoAnswer(f"cargo's {name} cannot be read") from None
        return (
            {key: one for key, one in sources.items() if isinstance(one, Mapping)} if isinstance(sources, dict) else {}
        )
    return {}


def _maven(clients: Clients) -> Told:
    data = clients.read(clients.own.folder(Path.home(), "HOME") / ".m2/settings.xml")
    mirrors = [] if data is None else list(_elements(data, "mirror"))
    urls = [one["url"] for one in mirrors if {"central", "*", "external:*"} & set(one.get("mirrorOf", "").split(","))]
    if not urls:
        urls = [one["url"] for one in _elements(_super_pom(clients), "repository") if one.get("id") == "central"]
    if not urls:
        raise NoAnswer("Maven has no mirror, and does not say which repository it has by itself")
    return Told([_word("Maven", url.strip()) for url in urls[:1]])


def _super_pom(clients: Clients) -> bytes:
    """The POM that every project inherits, from Maven's own library. It names Maven's default repository."""
    program = clients.find("mvn")
    if program is None:
        raise NoAnswer("mvn is not on this machine, so it cannot be asked")
    for jar in sorted((Path(program).resolve().parents[1] / "lib").glob("maven-model-builder-*.jar")):
        if not clients.own.has(jar):
            continue
        try:
            with zipfile.ZipFile(jar) as packed, packed.open("org/apache/maven/model/pom-4.0.0.xml") as file:
                return file.read(BYTES)
        except (OSError, KeyError, zipfile.BadZipFile):
            continue
    raise NoAnswer("Maven's library does not say which repository it has by itself")


def _elements(data: bytes, name: str) -> Iterator[dict[str, str]]:
    """The children of each element of this name: names without namespaces, and texts."""
    if b"<!DOCTYPE" in data:
        raise NoAnswer("Maven's settings have a DOCTYPE, so they are not read")
    try:
        root = ElementTree.fromstring(data)  # noqa: S314 - a file of the owner's, without entities
    except ElementTree.ParseError:
        raise NoAnswer("Maven's settings cannot be read") from None
    for element in root.iter():
        if element.tag.rpartition("}")[2] == name:
            inner = {child.tag.rpartition("}")[2]: (child.text or "").strip() for child in element}
            if inner.get("url"):
                yield inner


def _apt(clients: Clients) -> Told:
    lines = clients.run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian")
    urls = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not urls or len(urls) > 10:
        raise NoAnswer("apt has no source of Debian's")
    return Told([_word("apt", url) for url in urls])


_QUESTIONS: dict[str, Callable[[Clients], Told]] = {
    "pip": _pip, "npm": _npm, "go": _go, "cargo": _cargo, "maven": _maven, "apt": _apt,
}  # fmt: skip
