"""The Python environment: .venv of the checkout, from the locks with hashes, or that of the installation."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path

from toolchain.shell import ROOT, apt_install, run

# An installation has no checkout: it runs in the environment that it was installed into.
INSTALLED = not (ROOT / "pyproject.toml").is_file()
VENV = Path(sys.prefix) if INSTALLED else ROOT / ".venv"


class PythonEnv:
    """dev: whether to include the packages that the tests need."""

    name = "Python environment"
    how = "python3 -m venv .venv && .venv/bin/pip install --require-hashes -r requirements-dev.lock"

    def __init__(self, dev: bool) -> None:
        if INSTALLED:
            self.why = "what was installed with claude-bottle"
            return
        self._lock = ROOT / ("requirements-dev.lock" if dev else "requirements.lock")
        self._marks = [VENV / ".requirements-dev.lock"] + ([] if dev else [VENV / ".requirements.lock"])
        self.why = f"pulumi, its SDKs and pydantic, from {self._lock.name}"

    def _digest(self, name: str) -> str:
        return hashlib.sha256((ROOT / name).read_bytes() + sys.version.encode()).hexdigest()

    def look(self) -> str | None:
        if INSTALLED:
            return f"{VENV}, as claude-bottle was installed"
        # The test packages include those of a bottle, so either mark suffices for a bottle.
        for mark in self._marks:
            if mark.is_file() and mark.read_text() == self._digest(mark.name[1:]) and (VENV / "bin/python3").exists():
                return f".venv, {mark.name[1:]}"
        return None

    def get(self) -> None:
        if importlib.util.find_spec("ensurepip") is None:
            apt_install("python3-venv")
        run([sys.executable, "-m", "venv", VENV], "venv")
        pip: list[str | Path] = [
            VENV / "bin/python",
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-deps",
        ]
        run([*pip, "--require-hashes", "-r", self._lock], f"pip install {self._lock.name}")
        (VENV / f".{self._lock.name}").write_text(self._digest(self._lock.name))
