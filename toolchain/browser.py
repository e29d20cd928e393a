"""A browser that runs without a screen, for the tests of the dashboard's page."""

from __future__ import annotations

import shutil

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
        found = find_browser()
        return quiet(found, "--version") if found else None

    def get(self) -> None:
        apt_install("chromium", "fonts-dejavu-core")
