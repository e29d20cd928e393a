"""Debian packages that only the tests need: a browser without a screen, and a clock that can be wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

from toolchain.shell import apt_install, quiet

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_browser() -> str | None:
    """Path of a Chromium of this machine."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """Chromium: what is there, else Debian's package."""

    name = "browser"
    why = "the tests look at the dashboard's page in a real one"
    how = "install chromium"

    def look(self) -> str | None:
        browser = find_browser()
        return quiet(browser, "--version") if browser else None

    def get(self) -> None:
        apt_install("chromium", "fonts-dejavu-core")


def find_fake_clock() -> Path | None:
    """The library that gives a program another time when it is preloaded."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


class FakeClock:
    """libfaketime: Debian's package."""

    name = "fake clock"
    why = "the tests set the clock of a sidecar wrong"
    how = "install libfaketime"

    def look(self) -> str | None:
        library = find_fake_clock()
        return str(library) if library else None

    def get(self) -> None:
        apt_install("libfaketime")
