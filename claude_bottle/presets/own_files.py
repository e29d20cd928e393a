"""The environment and files that a client of the owner's may read: a few variables, and files outside any workspace.

Not the variables of host/child_env.py, because there `PYTHONPATH` or `VIRTUAL_ENV` would decide what Python runs. No
client gets a variable that is not listed here, such as `NODE_OPTIONS`, `JAVA_TOOL_OPTIONS` or `GOFLAGS`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from claude_bottle.presets.answers import NoAnswer

_ALL = ("HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ")
_PREFIX = "LC_"
# Variables that set where packages come from. Those that hold a credential are not among them.
_ADDRESSES = {
    "pip": ("PIP_INDEX_URL",),
    "npm": ("NPM_CONFIG_REGISTRY", "npm_config_registry"),
    "go": ("GOPROXY", "GOSUMDB"),
}
# Variables that name the file with that setting.
_FILES = {
    "pip": ("XDG_CONFIG_HOME", "PIP_CONFIG_FILE"),
    "npm": ("NPM_CONFIG_USERCONFIG", "NPM_CONFIG_GLOBALCONFIG", "npm_config_userconfig", "npm_config_globalconfig"),
    "go": ("XDG_CONFIG_HOME", "GOENV"),
    "apt-get": ("APT_CONFIG",),
}
_LINKS = 40
_NO_FILE = ("off", os.devnull)
# The files that each reads without such variables: below the home, below the config folder, and of the machine.
_HOME = {
    "pip": (".pip/pip.conf", "Library/Application Support/pip/pip.conf"),
    "npm": (".npmrc",),
    "go": ("Library/Application Support/go/env",),
}
_CONFIG = {"pip": ("pip/pip.conf",), "go": ("go/env",)}
_MACHINE = {
    "pip": ("/etc/pip.conf", "/etc/xdg/pip/pip.conf", "/Library/Application Support/pip/pip.conf"),
    "npm": ("/etc/npmrc", "/usr/etc/npmrc", "/usr/local/etc/npmrc"),
    "apt-get": ("/etc/apt/apt.conf", "/etc/apt/sources.list"),
}
_MACHINE_FOLDERS = {"apt-get": ("/etc/apt/apt.conf.d", "/etc/apt/sources.list.d")}


class OwnFiles:
    """aside: folders in which an agent may have written."""

    def __init__(self, aside: Sequence[Path]) -> None:
        self._aside = [folder.resolve() for folder in aside]

    def has(self, file: Path) -> bool:
        """Whether a file or folder, and each link on the way to it, is outside all of these folders."""
        for _ in range(_LINKS):
            place = file.parent.resolve() / file.name
            if any(one.is_relative_to(folder) for folder in self._aside for one in (place, place.resolve())):
                return False
            if not place.is_symlink():
                return True
            file = place.parent / place.readlink()  # Python searches next to such a link for the packages of a folder
        return False

    def has_program(self, file: Path) -> bool:
        """The same for a program, and for the interpreter of a script."""
        try:
            with file.open("rb") as opened:
                first = opened.read(1024).partition(b"\n")[0]
        except OSError:
            return False
        words = os.fsdecode(first[2:]).split() if first.startswith(b"#!") else []
        return self.has(file) and all(self.has(Path(word)) for word in words if word.startswith("/"))

    def variables(self, program: str) -> dict[str, str]:
        """The environment of a program. Raises NoAnswer if it would read files that an agent may have written."""
        for file in self._read_by(program):
            if not self.has(file):
                raise NoAnswer(f"{program} would read {file.name} in a workspace, so it is not asked")
        given = {name: value for name, value in os.environ.items() if name in _ALL or name.startswith(_PREFIX)}
        given |= {name: os.environ[name] for name in _ADDRESSES.get(program, ()) if name in os.environ}
        for name in _FILES.get(program, ()):
            if not (value := os.environ.get(name, "")):
                continue
            if value not in _NO_FILE and not (Path(value).is_absolute() and self.has(Path(value))):
                raise NoAnswer(f"{name} is in a workspace, or does not begin with a slash, so {program} is not asked")
            given[name] = value
        return given

    def folder(self, default: Path, variable: str) -> Path:
        """The folder named by a variable, or the default. Raises NoAnswer if an agent may have written there."""
        folder = Path(os.environ.get(variable) or default)
        if not folder.is_absolute() or not self.has(folder):
            raise NoAnswer(f"{folder.name} is in a workspace, or does not begin with a slash, so it is not read")
        return folder

    def _read_by(self, program: str) -> Iterator[Path]:
        home = Path.home()
        config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
        if program != "apt-get":  # it reads nothing in a home
            yield home
            yield from (home / name for name in _HOME.get(program, ()))
        for name in _CONFIG.get(program, ()):
            yield from (config, config / name)
        yield from map(Path, _MACHINE.get(program, ()))
        for folder in map(Path, _MACHINE_FOLDERS.get(program, ())):
            yield folder
            if folder.is_dir():
                yield from folder.iterdir()
