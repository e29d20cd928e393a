"""git-gate's real hooks under a real receive-pack and upload-pack, without a container: a mirror, its upstream, a clone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from gate_repository import Repository

from sidecar_images.git_gate import mirror
from sidecar_images.git_gate.remotes import Remote

ROOT = Path(__file__).parents[2]
_PRELUDE = """
import json, sys
from pathlib import Path
sys.path[:0] = [{root!r}, {tests!r}]
from gate_repository import fake_gitleaks
from sidecar_images.git_gate import {modules}
from sidecar_images.git_gate.scanning import leaks, scan
folder = Path({folder!r})
for module in ({modules}, leaks, scan):
    module.RUN = folder
leaks.SCRATCH = folder / "shm"
scan.own_credentials = lambda: []
leaks.Gitleaks._run = lambda self, folder, size: fake_gitleaks(folder)
remotes.MIRRORS, remotes.ETC = folder, folder
remotes.Remote.environment = lambda *_: {environment!r}
remote = remotes.Remote(**json.loads((folder / "remote.json").read_text()))
receive.remote_of = lambda _: remote
def record(event, name, verdict, **more):
    with (folder / "record").open("a") as out:
        out.write(json.dumps([event, verdict, more]) + "\\n")
journal.keep = journal.close = journal.write = record
{module}.main() if {module!r} != "receive" else sys.exit(receive.main())
"""
_MODULES = "mirror, open_pushes, receive, remotes, journal, proc_receive"


def environment(folder: Path) -> dict[str, str]:
    """An ssh that stays here: what runs on the forge has nothing of the gate's variables."""
    ssh = folder / "ssh"
    ssh.write_text('#!/bin/sh\nexec env -i PATH="$PATH" HOME="$HOME" sh -c "$2"\n')
    ssh.chmod(0o755)
    return {"GIT_SSH_COMMAND": str(ssh), "GIT_SSH_VARIANT": "simple"}


class HookedGate:
    """The mirror `p` and how a client pushes to it. policy: fields of Remote."""

    def __init__(self, folder: Path, **policy: Any) -> None:
        self.folder, self.work = folder, Repository.__new__(Repository)
        self.upstream = Repository(folder / "up")
        self.upstream.git("branch", "main", "refs/kept")
        (folder / "shm").mkdir()
        url = f"git@forge.example.com:{folder}/up"
        (folder / "remote.json").write_text(json.dumps({"name": "p", "upstream": url, **policy}))
        self.remote = Remote("p", url, **policy)
        hooks = folder / "hooks"
        hooks.mkdir()
        values: dict[str, Any] = {
            "root": str(ROOT),
            "tests": str(ROOT / "tests/unit"),
            "folder": str(folder),
            "modules": _MODULES,
        }
        values["environment"] = environment(folder)
        for hook, module in (("pre-receive", "receive"), ("proc-receive", "proc_receive")):
            (folder / f"{module}.py").write_text(_PRELUDE.format(**values, module=module))
            (hooks / hook).write_text(f"#!/bin/sh\nexec {sys.executable} {folder}/{module}.py\n")
        update = ROOT / "sidecar_images/git_gate/hooks/update"
        (hooks / "update").write_text(update.read_text().replace("${GATE_RUN:-/run/git-gate}", str(folder)))
        for hook in hooks.iterdir():
            hook.chmod(0o755)
        text = (ROOT / "sidecar_images/git_gate/gitconfig").read_text()
        self.config = folder / "gitconfig"
        self.config.write_text(re.sub(r"(?m)^\s*packObjectsHook.*$", "", text).replace("/app/hooks", str(hooks)))
        mirror.prepare(self.remote)
        assert mirror.refresh(self.remote) is None
        self.work.folder = folder / "work"
        subprocess.run(["git", "clone", "-q", str(self.remote.mirror), str(self.work.folder)], check=True)

    def push(self, *what: str) -> subprocess.CompletedProcess[str]:
        """As the daemon serves it."""
        argv = ["git", "-C", str(self.work.folder), "push", *what[:-1], f"file://{self.remote.mirror}", what[-1]]
        serve = f"env GIT_CONFIG_SYSTEM={self.config} git receive-pack"
        argv[4:4] = ["--receive-pack", serve]
        return subprocess.run(argv, env=os.environ, capture_output=True, text=True, check=False, timeout=300)

    def refs(self) -> list[str]:
        return mirror.git("-C", str(self.remote.mirror), "for-each-ref", "--format=%(refname)").split()

    def record(self) -> list[Any]:
        file = self.folder / "record"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
