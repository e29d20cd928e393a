"""Mixed load for half an hour while parts are killed: at the end every request and every push is accounted for.

Each request was answered, refused, or its client was told that it failed; what reached the upstream is on record, once;
what was refused has not reached it; a download is whole, or its client was told that it is not. Each push that git calls
done is upstream, none that was refused is, and what git-gate has on record of a push is so.
CLAUDE_BOTTLE_SOAK_MINUTES: how long. Sources: signal(7), SIGKILL; curl(1), EXIT CODES; git-push(1).
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import pytest
import world
from forge import HOST as FORGE
from forge import Forge, git_forge

pytestmark = [pytest.mark.docker, pytest.mark.slow]

MINUTES = float(os.environ.get("CLAUDE_BOTTLE_SOAK_MINUTES", "30"))
CLIENTS, PAUSE = 6, 25  # seconds between two kills
PARTS = ("egress", "pipelock", "supervise", "git-gate")
HOST, LEAK = "echo.example.com", "ghp_" + "1B4a2c8D9e7F" * 3
HOST_IMAGE = "claude-bottle/test-git-host:1"
LINES = hashlib.sha256(b"".join(b"%07d\n" % number for number in range(1 << 19))).hexdigest()

# A line before each request and one after it: its name, the status, curl's exit code, the answer's digest.
CLIENT = r"""
cd ~ && end=$((SECONDS + $1)) n=0 me=$2
while [ $SECONDS -lt $end ]; do
  n=$((n+1)); id=$me-$n; url=https://HOST/soak/$id
  case $((n % 8)) in
    0) set -- --data-binary @mb $url/mb ;;
    1) set -- --http1.1 --data-binary @large $url/large ;;
    2) set -- -d token=LEAK $url/leak ;;
    3) set -- https://nowhere.example.com/$id/host ;;
    4) set -- -H 'Transfer-Encoding: chunked' --data-binary @mb $url/chunked ;;
    5) set -- -d x $url/lines ;;
    6) cd repo$me; echo $id > file; git add file; git commit -qm $id
       echo "begun $id $(git rev-parse HEAD)" >> ../pushes$me
       timeout 300 git push origin HEAD:refs/heads/$id > ../said-$id 2>&1; echo "ended $id $?" >> ../pushes$me
       cd ..; continue ;;
    *) set -- -d x $url/small ;;
  esac
  echo "begun $id ${@: -1}" >> soak$me; : > got$me
  status=$(curl -s -m 60 -o got$me -w '%{http_code}' "$@")
  echo "ended $id $status $? $(sha256sum < got$me)" >> soak$me
done
"""


@dataclass
class Soaked:
    bottle: world.BottleUnderTest
    internet: world.Internet
    forge: Forge

    def records(self) -> list[dict[str, Any]]:
        """The audit log, verified, with all that the parts have on record."""
        assert self.bottle.audit("collect").returncode == 0
        verified = self.bottle.audit("verify")
        assert verified.returncode == 0, verified.stderr
        folder = self.bottle.folder / "state/claude-bottle/audit"
        files = folder.glob(f"{self.bottle.name}.jsonl*")
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def begun_and_ended(self, files: str) -> tuple[dict[str, str], dict[str, list[str]]]:
        """What the clients have noted: by name, what was begun, and how it ended."""
        said = [line.split() for line in self.bottle.agent(f"cat ~/{files}", timeout=120).splitlines()]
        begun = {words[1]: words[2] for words in said if words[0] == "begun"}
        ended = {words[1]: words[2:] for words in said if words[0] == "ended"}
        assert begun.keys() == ended.keys()
        return begun, ended

    def gate(self, script: str) -> str:
        return world.docker("exec", f"claude-bottle-git-gate-{self.bottle.name}", "sh", "-c", script, check=False)


@pytest.fixture(scope="module")
def soaked(tmp_path_factory: pytest.TempPathFactory, sidecar_image: str) -> Iterator[Soaked]:
    world.build_git_host(HOST_IMAGE)
    with (
        world.fake_internet(sidecar_image) as internet,
        git_forge(internet, HOST_IMAGE, tmp_path_factory.mktemp("keys")) as forge,
    ):
        upstream = f"git@{FORGE}:{forge.repository('soak')}"
        key = {"identity_file": str(forge.key), "known_hosts": forge.known_hosts}
        manifest: dict[str, Any] = {
            "agent": {"memory": "1g"},
            "egress": {"routes": [{"host": HOST}]},
            "pipelock": {"ca_files": ["root.pem"], "dlp": {"max_body_mb": 5}},
            "network": {"external": internet.network},
            "git": [{"name": "soak", "upstream": upstream, **key}],
            "supervise": True,
        }
        with world.bottle(tmp_path_factory.mktemp("soak"), manifest, files={"root.pem": internet.ca}) as bottle:
            bottle.up()
            bottle.agent("cd ~; head -c 1M /dev/urandom > mb; head -c 8M /dev/urandom > large")
            bottle.agent("git config --global user.name Agent; git config --global user.email agent@example.com")
            bottle.agent(f"cd ~; for n in $(seq 0 {CLIENTS - 1}); do git clone -q {upstream} repo$n; done")
            yield Soaked(bottle, internet, forge)


def load_and_kills(bottle: world.BottleUnderTest, chosen: random.Random) -> None:
    script = CLIENT.replace("HOST", HOST).replace("LEAK", LEAK)
    argv = ["docker", "exec", "-u", "node", f"claude-bottle-agent-{bottle.name}", "bash", "-c", script, "soak"]
    clients = [subprocess.Popen([*argv, str(int(MINUTES * 60)), str(number)]) for number in range(CLIENTS)]
    try:
        end = time.monotonic() + MINUTES * 60
        for role in cycle(chosen.sample(PARTS, len(PARTS))):
            if time.monotonic() >= end - 1:
                break
            time.sleep(min(PAUSE * chosen.uniform(0.8, 1.2), end - time.monotonic()))
            part = f"claude-bottle-{role}-{bottle.name}"
            world.docker("kill", part, check=False)
            world.docker("start", part)
            bottle.audit("collect")
    finally:
        for client in clients:
            client.wait(400)


@pytest.fixture(scope="module")
def records(soaked: Soaked) -> list[dict[str, Any]]:
    """The audit log after the load, when all parts are up again."""
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    load_and_kills(soaked.bottle, random.Random(seed))
    world.eventually(lambda: soaked.bottle.curl(f"https://{HOST}/over")[0] == 200, "the proxies answer", 60)
    world.eventually(lambda: soaked.gate("ls /run/git-gate/open && echo all").strip() == "all", "no push is open", 60)
    return soaked.records()


def test_every_request_is_accounted_for(soaked: Soaked, records: list[dict[str, Any]]) -> None:
    begun, ended = soaked.begun_and_ended("soak*")
    assert len(begun) > 20 * MINUTES
    odd = {key: how for key, how in ended.items() if how[:2] == ["000", "0"]}
    assert not odd  # neither an answer nor an error

    arrived = Counter(r["path"] for r in soaked.internet.requests() if r["path"].startswith("/soak/") and r["whole"])
    paths = {key: url.removeprefix(f"https://{HOST}") for key, url in begun.items()}
    for key, (status, exit_code, digest, _) in ended.items():
        kind = begun[key].rpartition("/")[2]
        if kind in ("leak", "host"):
            assert not arrived[paths[key]], key
            assert status != "200", key
        elif status == "200":
            assert arrived[paths[key]] >= 1, key
            assert kind != "lines" or exit_code != "0" or digest == LINES, f"{key}: a download that is not whole"
        elif status == "403":
            raise AssertionError(f"{key}: an honest request was refused")

    recorded = Counter(
        r["path"] for r in records if r.get("part") == "egress" and r.get("verdict") == "allowed" and "n" in r
    )
    for path in arrived:
        assert recorded[path] == 1, (path, recorded[path])
    kinds = Counter((begun[key].rpartition("/")[2], *how[:2]) for key, how in ended.items())
    print(json.dumps({" ".join(kind): count for kind, count in sorted(kinds.items())}))


def test_every_push_is_accounted_for(soaked: Soaked, records: list[dict[str, Any]]) -> None:
    begun, ended = soaked.begun_and_ended("pushes*")
    assert len(begun) > MINUTES
    upstream = {ref: commit for commit, ref in map(str.split, soaked.forge.refs("soak").splitlines())}
    verdicts = defaultdict[str, list[str]](list)
    for record in records:
        for ref in record.get("refs", []) if record.get("part") == "git-gate" else ():
            verdicts[ref].append(record["verdict"])
    outcomes = Counter[str]()
    for key, (exit_code,) in ended.items():
        ref = f"refs/heads/{key}"
        taken, said = upstream.get(ref) == begun[key], soaked.bottle.agent(f"cat ~/said-{key}")
        about = (key, exit_code, said, taken, verdicts[ref])
        assert taken or ref not in upstream, about
        assert not taken or "forwarding" in verdicts[ref], about  # nothing is sent without a record
        assert not verdicts[ref] or verdicts[ref][-1] != "forwarding", about  # each is closed
        assert taken or "allowed" not in verdicts[ref], about
        assert not (taken and "refused" in verdicts[ref]), about
        assert exit_code != "0" or (taken and verdicts[ref][-1] == "allowed"), about
        assert not (taken and "nothing has reached the upstream" in said), about
        assert exit_code == "0" or said.strip(), about  # the client was told; a push that hangs says nothing
        outcomes[f"exit {exit_code}, {'taken' if taken else 'not taken'}, {'/'.join(verdicts[ref])}"] += 1
    print(json.dumps(dict(sorted(outcomes.items()))))
