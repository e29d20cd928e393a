"""What an engine must know of each sidecar: its readiness check, and the files that are checked for drift. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from claude_bottle.policy.names.files import (
    EGRESS_ETC,
    GATE_ETC,
    GATE_ROOTS,
    GATE_RUN,
    MIRRORS,
    PIPELOCK_CONFIG,
    PIPELOCK_ETC,
    PROXY_ROOTS,
    PROXY_RUN,
    PROXY_STATUS,
    ROUTES,
    SUPERVISE_ETC,
    SYSTEM_ROOTS,
)
from claude_bottle.policy.names.roles import PORTS

# Files that a proxy generates at its start and uses from then on.
_PROXY_USES = (f"{PROXY_RUN}/mitm", PROXY_ROOTS)


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
            "status": PROXY_STATUS,
            "settings": self.settings,
        }
        return json.dumps({**fields, "each": self.each, "whole": self.whole, "not": replaced})


SIDECARS: Mapping[str, Sidecar] = {
    "egress": Sidecar(
        ("/app/healthy.sh", str(PORTS["egress"]), "_egress.local"),
        "routes-put",
        (EGRESS_ETC, *_PROXY_USES, SYSTEM_ROOTS),
        policy=ROUTES,
    ),
    "pipelock": Sidecar(
        ("/app/healthy.sh", str(PORTS["pipelock"]), "_pipelock.local"),
        "policy-put",
        (PIPELOCK_ETC, *_PROXY_USES, SYSTEM_ROOTS),
        policy=PIPELOCK_CONFIG,
    ),
    "git-gate": Sidecar(
        ("/app/healthy.sh",),
        "ready",
        # The git settings of a mirror, and of the gate's user, could name other hooks and other upstreams.
        (GATE_ETC, "/etc/gitconfig", f"{GATE_RUN}/.gitconfig", f"{GATE_RUN}/.config", GATE_ROOTS, SYSTEM_ROOTS),
        ("/app", "/usr/local/bin"),
        settings=f"{MIRRORS[1:]}/*.git/config",
    ),
    "supervise": Sidecar(("/app/supervise/healthy.sh",), "ready", (SUPERVISE_ETC, SYSTEM_ROOTS)),
}  # fmt: skip
