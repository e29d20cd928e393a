"""What an engine has to know of each sidecar: when it is ready, and what in it is looked at for drift. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from claude_bottle.policy.names.roles import PORTS

RECORD = "/var/lib/claude-bottle/record"  # where a sidecar keeps what it has let out (claude_bottle/policy/record.py)
_RUN = "/run/claude-bottle"
# What a proxy's own start makes of its files, and what it then uses.
_PROXY_USES = (f"{_RUN}/mitm", f"{_RUN}/upstream-bundle.pem")
_ROOTS = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class Sidecar:
    """check: succeeds when the part is ready. put: ending of the name of the command that makes it so.

    each: folders and files that are told by name. whole: folders that count as one. policy: put there while it runs.
    settings: git configs, a pattern below /.
    """

    check: tuple[str, ...]
    put: str
    each: tuple[str, ...]
    whole: tuple[str, ...] = ("/app",)
    policy: str = ""
    settings: str = ""

    @cached_property
    def spec(self) -> str:
        """What the probe is told, as JSON."""
        half = self.policy.rpartition(".")[0] + ".new"  # what a put that was killed has left
        fields = {
            "check": self.check,
            "policy": self.policy,
            "status": f"{_RUN}/status.json",
            "settings": self.settings,
        }
        return json.dumps({**fields, "each": self.each, "whole": self.whole, "not": [self.policy, half]})


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
        # The settings of a mirror, and of the gate's user, could name other hooks and other upstreams.
        ("/etc/git-gate", "/etc/gitconfig", "/run/git-gate/.gitconfig", "/run/git-gate/.config",
         "/run/git-gate/roots.pem", _ROOTS),
        ("/app", "/usr/local/bin"),
        settings="srv/git/*.git/config",
    ),
    "supervise": Sidecar(("/app/supervise/healthy.sh",), "ready", ("/etc/supervise", _ROOTS)),
}  # fmt: skip
