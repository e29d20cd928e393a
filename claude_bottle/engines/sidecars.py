"""What an engine must know of each sidecar: its readiness check, and the files that are checked for drift. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from claude_bottle.policy.names.roles import PORTS

RECORD = "/var/lib/claude-bottle/record"  # a sidecar's record of what it has released (claude_bottle/policy/record.py)
_RUN = "/run/claude-bottle"
# Files that a proxy generates at its start and uses from then on.
_PROXY_USES = (f"{_RUN}/mitm", f"{_RUN}/upstream-bundle.pem")
_ROOTS = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class Sidecar:
    """check: succeeds when the sidecar is ready. put: suffix of the name of the command that readies it.

    each: folders and files of which every file is reported by name. whole: folders that are reported as one. policy:
    file that is replaced while the sidecar runs, or "". settings: git configs, as a glob pattern below /.
    """

    check: tuple[str, ...]
    put: str
    each: tuple[str, ...]
    whole: tuple[str, ...] = ("/app",)
    policy: str = ""
    settings: str = ""

    @cached_property
    def spec(self) -> str:
        """The probe's input, as JSON."""
        folder, _, name = self.policy.rpartition("/")
        # A put that is killed leaves the second one (claude_bottle/policy/whole_file.py).
        replaced = f"{re.escape(self.policy)}|{re.escape(f'{folder}/.{name}.')}[0-9]+[.]new" if name else ""
        fields = {
            "check": self.check,
            "policy": self.policy,
            "status": f"{_RUN}/status.json",
            "settings": self.settings,
        }
        return json.dumps({**fields, "each": self.each, "whole": self.whole, "not": replaced})


SIDECARS: Mapping[str, Sidecar] = {
    "egress": Sidecar(
        ("/app/healthy.sh", str(PORTS["egress"]), "_egress.local"),
        "routes-put",
        ("/etc/claude-bottle", *_PROXY_USES, _ROOTS),
        policy="/etc/claude-bottle/routes.json",
    ),
    "pipelock": Sidecar(
        ("/app/healthy.sh", str(PORTS["pipelock"]), "_pipelock.local"),
        "policy-put",
        ("/etc/pipelock", *_PROXY_USES, _ROOTS),
        policy="/etc/pipelock/pipelock.yaml",
    ),
    "git-gate": Sidecar(
        ("/app/healthy.sh",),
        "ready",
        # The git settings of a mirror, and of the gate's user, could name other hooks and other upstreams.
        ("/etc/git-gate", "/etc/gitconfig", "/run/git-gate/.gitconfig", "/run/git-gate/.config",
         "/run/git-gate/roots.pem", _ROOTS),
        ("/app", "/usr/local/bin"),
        settings="srv/git/*.git/config",
    ),
    "supervise": Sidecar(("/app/supervise/healthy.sh",), "ready", ("/etc/supervise", _ROOTS)),
}  # fmt: skip
