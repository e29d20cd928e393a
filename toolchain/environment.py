"""The environment of a checkout's shell: Pulumi's backend for the state, and the passphrase for its secrets."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from claude_bottle.engines.docker.context import followed
from claude_bottle.policy.own_command import own_command
from toolchain.pulumi_cli import find_cli, pulumi_home
from toolchain.python_env import INSTALLED, VENV
from toolchain.shell import ROOT

STATE = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "claude-bottle"
PASSPHRASE = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "claude-bottle" / "passphrase"


def logged_in_elsewhere() -> str | None:
    """The backend that the user has chosen, by variable or by `pulumi login`; None if there is none."""
    if os.environ.get("PULUMI_BACKEND_URL"):
        return os.environ["PULUMI_BACKEND_URL"]
    try:
        current = json.loads((pulumi_home() / "credentials.json").read_text()).get("current")
    except (OSError, ValueError):
        return None
    return str(current) if current else None


class StateAndPassphrase:
    """A folder for the state, and a passphrase that only its owner can read, both outside the checkout."""

    name = "state and passphrase"
    why = "stacks are kept in local files unless you are logged in elsewhere"
    how = f"{own_command('up demo')} creates {PASSPHRASE} and {STATE}"

    def look(self) -> str | None:
        if not PASSPHRASE.is_file() or not STATE.is_dir():
            return None
        if PASSPHRASE.stat().st_mode & 0o077:
            return None
        return f"{logged_in_elsewhere() or STATE}, passphrase in {PASSPHRASE}"

    def get(self) -> None:
        STATE.mkdir(parents=True, exist_ok=True, mode=0o700)
        PASSPHRASE.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not PASSPHRASE.is_file():
            descriptor = os.open(PASSPHRASE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
        PASSPHRASE.chmod(0o600)


def environment() -> dict[str, str]:
    """The variables that the checkout's shell has in addition."""
    # The set-up installs plugins by digest. A plugin that the CLI downloads by itself would not be verified.
    variables = {"PULUMI_SKIP_UPDATE_CHECK": "true", "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true"}
    variables["VIRTUAL_ENV"] = str(VENV)
    variables |= followed(os.environ, Path.home())
    if INSTALLED:  # the project is not the folder of the packages, whose modules are also run as programs
        paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        variables["CLAUDE_BOTTLE_ROOT"] = str(ROOT)
        variables["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    if logged_in_elsewhere() is None:
        variables["PULUMI_BACKEND_URL"] = f"file://{STATE}"
    if not os.environ.get("PULUMI_CONFIG_PASSPHRASE") and not os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        variables["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(PASSPHRASE)
    cli = find_cli()
    parts = [str(VENV / "bin"), *([str(cli.parent)] if cli else []), os.environ.get("PATH", "")]
    variables["PATH"] = os.pathsep.join(dict.fromkeys(os.pathsep.join(parts).split(os.pathsep)))
    return variables
