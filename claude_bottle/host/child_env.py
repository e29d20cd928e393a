"""The environment of programs that this project starts. Standard library only.

Pulumi passes the decrypted config, the passphrase and the owner's tokens to its program as variables, and the last two
to its providers. A child would inherit them all, and so would processes that it leaves running or that a repository's
config starts (git's `core.fsmonitor`, ssh's `ProxyCommand`). Only Pulumi itself gets them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

_NAMES = (
    "PATH HOME USER LOGNAME SHELL PWD TERM COLUMNS LINES TMPDIR TZ LANG LANGUAGE NO_COLOR"
    # For docker's command line; not DOCKER_AUTH_CONFIG, which holds credentials.
    " DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG DOCKER_CERT_PATH DOCKER_TLS DOCKER_TLS_VERIFY DOCKER_API_VERSION"
    # For ssh, by which docker reaches another machine, and for git where it must not read the owner's files.
    " SSH_AUTH_SOCK SSH_ASKPASS DISPLAY GIT_CONFIG_GLOBAL GIT_CONFIG_NOSYSTEM GIT_CEILING_DIRECTORIES"
    " SSL_CERT_FILE SSL_CERT_DIR"
    # For this project's own modules, run as programs.
    " CLAUDE_BOTTLE_ROOT PYTHONPATH PYTHONDONTWRITEBYTECODE VIRTUAL_ENV"
    " XDG_STATE_HOME XDG_CONFIG_HOME XDG_CACHE_HOME XDG_RUNTIME_DIR"
)
_KEPT, _PREFIX = frozenset(_NAMES.split()), "LC_"


def child_env(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child that is not Pulumi: the harmless variables of this process, and `more`."""
    kept = {key: value for key, value in os.environ.items() if key in _KEPT or key.startswith(_PREFIX)}
    return {**kept, **_trusted(), **(more or {})}


def _trusted() -> dict[str, str]:
    """The trusted repositories (safe.directory) of git's config by variables. Other keys may hold a credential."""
    count = os.environ.get("GIT_CONFIG_COUNT", "")
    pairs = [
        (os.environ.get(f"GIT_CONFIG_KEY_{n}", ""), os.environ.get(f"GIT_CONFIG_VALUE_{n}", ""))
        for n in range(min(int(count), 100) if count.isdecimal() else 0)
    ]
    kept = [(key, value) for key, value in pairs if key.lower() == "safe.directory"]
    variables = {f"GIT_CONFIG_KEY_{n}": key for n, (key, _) in enumerate(kept)}
    variables |= {f"GIT_CONFIG_VALUE_{n}": value for n, (_, value) in enumerate(kept)}
    return {**variables, "GIT_CONFIG_COUNT": str(len(kept))} if kept else {}


def interpreter(names: Mapping[str, object]) -> list[str]:
    """The same for a command of Pulumi's command provider: a shell that first unsets all other variables.

    names: the command's own variables, which are kept.
    """
    allowed = "|".join(sorted(_KEPT | names.keys()))
    script = (
        "for name in $(awk 'BEGIN { for (name in ENVIRON) print name }'); do"
        f' case $name in {allowed}|{_PREFIX}*|*[!A-Za-z0-9_]*) ;; *) unset "$name" ;; esac; done; eval "$1"'
    )
    return ["/bin/sh", "-c", script, "sh"]
