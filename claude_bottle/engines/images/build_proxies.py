"""The forward proxy of the owner's shell, for builds: its variables are predefined build arguments.

They are stored in no layer and no image (docs.docker.com/reference/dockerfile, Predefined ARGs). Standard library only.
"""

from __future__ import annotations

import os

_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")


def build_proxies() -> dict[str, str]:
    """The variables that are set. A value may hold a login, `user:password@`."""
    both = (spelling for name in _NAMES for spelling in (name, name.lower()))
    return {name: value for name in both if (value := os.environ.get(name))}


def options() -> list[str]:
    """The options for docker's command line, which takes the values from the environment."""
    return [word for name in build_proxies() for word in ("--build-arg", name)]
