"""Problems of a mounted workspace on an engine: the agent's user id, set-id programs of root, SELinux labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from claude_bottle.engines.facts import MountFacts
from claude_bottle.policy.errors import Finding
from claude_bottle.workspace.copies import Workspace

_PATH = "workspace.mode"


def _label(folder: Path) -> str:
    """The SELinux label of a folder, "" if it has none."""
    try:
        return os.getxattr(folder, "security.selinux").decode(errors="replace")
    except OSError:
        return ""


def mount_findings(workspace: Workspace, facts: MountFacts, label: Callable[[Path], str] = _label) -> Iterator[Finding]:
    """Problems of this mount. facts: of the engine. label: returns a folder's SELinux label."""
    source = workspace.source
    if not (workspace.nosuid or facts.other_root):
        message = (
            "root in the agent could leave a set-user-id program of root there, because this engine has no user"
            " namespace and the folder's file system honours such bits. Write mode: copy, or use a rootless engine or"
            f" userns-remap, or run sudo mount --bind {source} {source} && sudo mount -o remount,bind,nosuid {source}"
        )
        yield Finding(_PATH, "mount", message)
    if facts.other_ids and not _anybody_writes(Path(source)):
        message = (
            "in this engine's user namespace the agent's user (uid 1000) has another id on this machine, which cannot"
            f" write to {source}. Write mode: copy, or run chmod -R o+rwX {source}"
        )
        yield Finding(_PATH, "mount", message)
    if facts.selinux and not any(kind in label(Path(source)) for kind in ("container_file_t", "svirt")):
        message = (
            f"SELinux denies containers access to {source}, which has no label for them. Write mode: copy, or run"
            f" chcon -Rt container_file_t {source} (every container may then read and write it)"
        )
        yield Finding(_PATH, "mount", message)


def _anybody_writes(folder: Path) -> bool:
    try:
        return bool(folder.stat().st_mode & 0o002)
    except OSError:
        return False
