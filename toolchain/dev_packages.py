"""Debian packages that only the tests need: a headless browser, and a fake clock."""

from __future__ import annotations

import shutil
from pathlib import Path

from toolchain.shell import apt_install, quiet

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_browser() -> str | None:
    """Path of a Chromium on this machine; None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """Chromium: an installed one, else Debian's package."""

    name = "browser"
    why = "the tests look at the dashboard's page in a real one"
    how = "install chromium"

    def look(self) -> str | None:
        browser = find_browser()
        return quiet(browser, "--version") if browser else None

    def get(self) -> None:
        apt_install("chromium", "fonts-dejavu-core")


def find_fake_clock() -> Path | None:
    """The library that fakes the time of a program when it is preloaded; None if it is missing."""
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
