"""Mixed load for half an hour while parts are killed: at the end every request is accounted for.

Each was answered, refused, or its client was told that it failed; what reached the upstream is on record, once; what was
refused has not reached it. CLAUDE_BOTTLE_SOAK_MINUTES: how long. Sources: signal(7), SIGKILL; curl(1), EXIT CODES.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import world

pytestmark = [pytest.mark.docker, pytest.mark.slow]

MINUTES = float(os.environ.get("CLAUDE_BOTTLE_SOAK_MINUTES", "30"))
CLIENTS, PAUSE = 6, 25  # seconds between two kills
PARTS = ("egress", "pipelock", "supervise")
HOST, LEAK = "echo.example.com", "ghp_" + "1B4a2c8D9e7F" * 3

# A line before each request and one after it: its name, the status, curl's exit code.
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
    *) set -- -d x $url/small ;;
  esac
  echo "begun $id ${@: -1}" >> soak$me
  status=$(curl -s -m 60 -o /dev/null -w '%{http_code}' "$@"); echo "ended $id $status $?" >> soak$me
done
"""


@pytest.fixture(scope="module")
def bottle(tmp_path_factory: pytest.TempPathFactory, sidecar_image: str) -> Iterator[tuple[Any, Any]]:
    with world.fake_internet(sidecar_image) as internet:
        manifest: dict[str, Any] = {
            "agent": {"memory": "1g"},
            "egress": {"routes": [{"host": HOST}]},
            "pipelock": {"ca_files": ["root.pem"], "dlp": {"max_body_mb": 5}},
            "network": {"external": internet.network},
            "supervise": True,
        }
        with world.bottle(tmp_path_factory.mktemp("soak"), manifest, files={"root.pem": internet.ca}) as bottle:
            bottle.up()
            bottle.agent("cd ~; head -c 1M /dev/urandom > mb; head -c 8M /dev/urandom > large; : > soak0")
            yield bottle, internet


def load_and_kills(bottle: world.BottleUnderTest, chosen: random.Random) -> None:
    script = CLIENT.replace("HOST", HOST).replace("LEAK", LEAK)
    argv = ["docker", "exec", "-u", "node", f"claude-bottle-agent-{bottle.name}", "bash", "-c", script, "soak"]
    clients = [subprocess.Popen([*argv, str(int(MINUTES * 60)), str(number)]) for number in range(CLIENTS)]
    try:
        end = time.monotonic() + MINUTES * 60
        while time.monotonic() < end - 1:
            time.sleep(min(PAUSE, end - time.monotonic()))
            part = f"claude-bottle-{chosen.choice(PARTS)}-{bottle.name}"
            world.docker("kill", part, check=False)
            world.docker("start", part)
            bottle.audit("collect")
    finally:
        for client in clients:
            client.wait(400)


def test_every_request_is_accounted_for(bottle: tuple[world.BottleUnderTest, world.Internet]) -> None:
    stack, internet = bottle
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    load_and_kills(stack, random.Random(seed))
    for _ in range(240):
        if stack.curl(f"https://{HOST}/over")[0] == 200:
            break
        time.sleep(1)
    said = stack.agent("cat ~/soak*", timeout=120).splitlines()
    begun = {line.split()[1]: line.split()[2] for line in said if line.startswith("begun ")}
    ended = {line.split()[1]: tuple(line.split()[2:]) for line in said if line.startswith("ended ")}
    assert len(begun) > 20 * MINUTES
    assert begun.keys() == ended.keys()
    odd = {key: how for key, how in ended.items() if how[0] == "000" and how[1] == "0"}
    assert not odd  # neither an answer nor an error

    arrived = Counter(r["path"] for r in internet.requests() if r["path"].startswith("/soak/") and r["whole"])
    paths = {key: url.removeprefix(f"https://{HOST}") for key, url in begun.items()}
    for key, (status, _) in ended.items():
        kind = begun[key].rpartition("/")[2]
        if kind in ("leak", "host"):
            assert not arrived[paths[key]], key
            assert status != "200", key
        elif status == "200":
            assert arrived[paths[key]] >= 1, key
        elif status == "403":
            raise AssertionError(f"{key}: an honest request was refused")

    assert stack.audit("collect").returncode == 0
    verified = stack.audit("verify")
    assert verified.returncode == 0, verified.stderr
    folder = stack.folder / "state/claude-bottle/audit"
    lines = [line for file in folder.glob(f"{stack.name}.jsonl*") for line in file.read_text().splitlines()]
    records = [json.loads(line) for line in lines]
    recorded = Counter(
        r["path"] for r in records if r.get("part") == "egress" and r.get("verdict") == "allowed" and "n" in r
    )
    for path in arrived:
        assert recorded[path] == 1, (path, recorded[path])
    kinds = Counter((begun[key].rpartition("/")[2], status) for key, (status, _) in ended.items())
    print(json.dumps({f"{kind} {status}": count for (kind, status), count in sorted(kinds.items())}))
