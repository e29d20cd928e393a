"""A bottle that an older commit of this repository brought up goes on with today's: nothing that it holds is lost."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import world
from forge import HOST, Forge, git_forge

pytestmark = [pytest.mark.docker, pytest.mark.slow]

# The last commit before the packages got their rooms: other folders, other imports, other resource inputs.
OLD = "b12a44b"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    packed = subprocess.run(["git", "-C", str(world.ROOT), "archive", OLD], capture_output=True, check=False)
    if packed.returncode != 0:
        pytest.skip(f"this clone has no commit {OLD}: git fetch --unshallow")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def forge(internet: world.Internet, git_host_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    with git_forge(internet, git_host_image, tmp_path_factory.mktemp("keys")) as forge:
        forge.repository("project")
        yield forge


def held(bottle: world.BottleUnderTest, *listing: str) -> dict[str, str]:
    """What a person would miss: what is in the volumes, the CA that the agent trusts, what was asked for.

    listing: the command of the folder's program that lists proposals, up to the stack's name.
    """
    contents = {}
    contents["files"] = bottle.agent("cat ~/kept; cat ~/project/kept; git -C ~/project log --format=%H%s")
    contents["mirror"] = world.docker(
        "exec", f"claude-bottle-git-gate-{bottle.name}", "git", "-C", "/srv/git/project.git", "for-each-ref"
    )
    ca = "openssl x509 -noout -fingerprint -sha256"
    contents["ca"] = bottle.agent(f"{ca} -in $NODE_EXTRA_CA_CERTS")
    proposals = bottle.run(*listing, bottle.name).stdout
    (contents["asked"],) = re.findall(r"^(p-[0-9a-f]+) .* pending .*new\.example\.com", proposals, re.MULTILINE)
    return contents


def test_a_bottle_of_an_older_commit_keeps_all_that_it_holds(
    old: Path, internet: world.Internet, forge: Forge, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # In the names of keys that the older commit knows; today's takes them too (claude_bottle/manifest/renamed.py).
    manifest: dict[str, Any] = {
        "agent": {"memory": "1g"},
        "egress": {
            "routes": [
                {"host": "api.anthropic.com", "token_ref": "CLAUDE_CODE_OAUTH_TOKEN"},
                {"host": "echo.example.com", "methods": ["GET"]},
            ]
        },
        "pipelock": {"upstream_roots": ["root.pem"], "passthrough": ["api.anthropic.com"]},
        "git": [
            {
                "name": "project",
                "upstream": f"git@{HOST}:/srv/acme/project.git",
                "identity_file": str(forge.key),
                "known_hosts": forge.known_hosts,
            }
        ],
        "supervise": True,
        "network": {"outside": internet.network},
    }
    token = {"CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-" + "k" * 48}
    folder = tmp_path_factory.mktemp("project")
    with world.bottle(folder, manifest, token, {"root.pem": internet.ca}, root=old) as bottle:
        bottle.up()
        bottle.agent(
            "echo MARK-kept > ~/kept; git config --global user.name A; git config --global user.email a@example.com"
        )
        bottle.agent(f"git clone -q git@{HOST}:/srv/acme/project.git ~/project", timeout=120)
        bottle.agent(
            "cd ~/project; echo mine > kept; git add -A; git commit -qm 'MARK-commit'; git push -q origin HEAD:main"
        )
        assert bottle.marks("hello MARK-before", internet) >= {"MARK-before"}
        arguments = {"host": "new.example.com", "justification": "to build"}
        call = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "egress-block", "arguments": arguments},
        }
        ask = f"curl -s -m 8 -H 'Accept: application/json, text/event-stream' -H 'Content-Type: application/json' -d '{json.dumps(call)}'"
        bottle.agent(f"{ask} http://supervise:9100/")
        before = held(bottle, "python3", "-m", "dashboard", "list", "-s")
        assert "MARK-kept" in before["files"]
        assert "MARK-commit" in before["files"]
        assert "refs/heads/main" in before["mirror"]

        for part in world.PROGRAM:
            (folder / part).unlink()
            (folder / part).symlink_to(world.ROOT / part)
        preview = bottle.stack.preview().stdout
        gone = [line for line in preview.splitlines() if re.match(r" +-  \S+ .* delete", line)]
        assert all(":RemoteImage " in line for line in gone), gone  # the older images, which nothing uses any more
        bottle.up()
        assert held(bottle, *world.BOTTLE, "ask", "list") == before
        # The conversation goes on, and what was refused and allowed is so still.
        assert bottle.marks("again MARK-after", internet, "--continue") >= {"MARK-before", "MARK-after"}
        assert bottle.curl("https://echo.example.com/")[0] == 200
        assert bottle.curl("https://new.example.com/")[0] == 403
        done = bottle.ask("approve", before["asked"], "--for", "1h")
        assert done.returncode == 0, done.stderr
        bottle.agent("cd ~/project; echo more >> kept; git commit -qam 'MARK-later'; git push -q origin HEAD:main")
        assert "MARK-later" in forge.run("git -C /srv/acme/project.git log --format=%s main")
        assert bottle.stack.preview().change_summary.keys() <= {"same"}
