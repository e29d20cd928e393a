"""The audit log has every push that reached an upstream and every allowed write, once and whole, whatever an agent does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import world
from forge import HOST, Forge, git_forge

pytestmark = pytest.mark.docker

# Bounded: 8 seconds, 20 connections at a time, 4 kB each, to the bottle's own git-gate and egress.
FLOOD = r"""
cat > /tmp/flood.py <<'END'
import socket, threading, time
end = time.monotonic() + 8
def junk(host, port, data):
    while time.monotonic() < end:
        try:
            with socket.create_connection((host, port), 2) as out:
                out.sendall(data); out.settimeout(0.2); out.recv(100)
        except OSError:
            time.sleep(0.01)
lines = (b"GET http://nowhere.example.com/%d HTTP/1.1\r\nHost: nowhere.example.com\r\n\r\n" * 20) % tuple(range(20))
for n in range(10):
    threading.Thread(target=junk, args=("git-gate", 9418, b"junk\n" * 800)).start()
    threading.Thread(target=junk, args=("egress", 8080, lines)).start()
END
python3 /tmp/flood.py || true
"""


@pytest.fixture(scope="module")
def forge(internet: world.Internet, git_host_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    with git_forge(internet, git_host_image, tmp_path_factory.mktemp("keys")) as forge:
        forge.repository("pushed")
        yield forge


@pytest.fixture(scope="module")
def bottle(
    internet: world.Internet, forge: Forge, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[world.BottleUnderTest]:
    remote = {"name": "pushed", "upstream": f"git@{HOST}:/srv/acme/pushed.git"}
    manifest: dict[str, Any] = {
        "agent": {"memory": "1g", "apt": ["python3"]},
        "egress": {"routes": [{"host": "echo.example.com"}]},
        "pipelock": {"ca_files": ["root.pem"], "passthrough": ["echo.example.com"]},
        "git": [{**remote, "identity_file": str(forge.key), "known_hosts": forge.known_hosts}],
        "network": {"external": internet.network},
    }
    folder = tmp_path_factory.mktemp("project")
    with world.bottle(folder, manifest, files={"root.pem": internet.ca}) as bottle:
        bottle.up()
        bottle.agent("git config --global user.name Agent; git config --global user.email agent@example.com")
        bottle.agent(
            f"git clone -q git@{HOST}:/srv/acme/pushed.git ~/p; cd ~/p; echo 1 > f; git add -A; git commit -qm one"
        )
        yield bottle


def write(bottle: world.BottleUnderTest, what: str, count: int) -> None:
    bottle.agent(
        f"for n in $(seq {count}); do curl -s -m 100 -o /dev/null -d x https://echo.example.com/{what}/$n & "
        "[ $((n % 8)) = 0 ] && wait; done; wait",
        timeout=180,
    )


def push(bottle: world.BottleUnderTest, what: str, count: int) -> None:
    name = "x" * 180
    refs = f"$(for n in $(seq {count}); do echo HEAD:refs/heads/{what}/{name}$n; done)"
    bottle.agent(f"cd ~/p; git push -q origin {refs} 2>&1", timeout=180)


def records(bottle: world.BottleUnderTest) -> list[dict[str, Any]]:
    folder = bottle.folder / "state/claude-bottle/audit"
    return [
        json.loads(line)
        for file in sorted(folder.glob(f"{bottle.name}.jsonl*"))
        for line in file.read_text().splitlines()
    ]


def both_sides_agree(bottle: world.BottleUnderTest, internet: world.Internet, forge: Forge, mark: int) -> int:
    """How many writes and refs that were; each is in the audit log exactly once."""
    verified = bottle.audit("verify")
    assert verified.returncode == 0, verified.stderr
    entries = records(bottle)
    upstream = Counter(
        f"POST {seen['host']} {seen['path']}" for seen in internet.since(mark) if seen["method"] == "POST"
    )
    allowed = [record for record in entries if record.get("verdict") == "allowed" and "n" in record]
    recorded = Counter(f"{r['what']} {r['path']}" for r in allowed if r.get("part") == "egress")
    assert all(record["count"] == 1 for record in allowed)
    # What upstream has seen is on record; what it has not may have been lost on the way, but was recorded no more than once.
    assert upstream and set(upstream) <= set(recorded)
    odd = {what: (recorded[what], count) for what, count in upstream.items() if recorded[what] != count}
    assert all(
        audit_count > count and ("/killed/" in what or "/up-again" in what)
        for what, (audit_count, count) in odd.items()
    ), odd
    refs = {line.split()[1] for line in forge.refs("pushed").splitlines() if "/x" in line}
    going = Counter(
        ref
        for r in entries
        if r.get("part") == "git-gate" and r.get("verdict") == "forwarding"
        for ref in r.get("refs", ())
    )
    assert refs and refs <= set(going)
    return len(upstream) + len(refs)


def test_under_a_flood_with_the_page_off_and_after_kills(
    bottle: world.BottleUnderTest, internet: world.Internet, forge: Forge
) -> None:
    mark = internet.mark()
    argv = ["docker", "exec", "-u", "node", f"claude-bottle-agent-{bottle.name}", "bash", "-c", FLOOD]
    flood = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    write(bottle, "flooded", 80)
    push(bottle, "flooded", 300)
    flood.wait(300)
    argv[-1] = "for n in $(seq 200); do curl -s -m 5 -o /dev/null -d x https://echo.example.com/killed/$n; done"
    writing = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for part in ("egress", "git-gate"):
        time.sleep(2)
        world.docker("kill", f"claude-bottle-{part}-{bottle.name}")
        world.docker("start", f"claude-bottle-{part}-{bottle.name}")
    writing.wait(500)
    for _ in range(300):
        if bottle.curl("-d", "x", "https://echo.example.com/up-again")[0] == 200:
            break
        time.sleep(0.2)
    push(bottle, "again", 3)
    assert both_sides_agree(bottle, internet, forge, mark) > 300
    accepted = [
        r for r in records(bottle) if r.get("part") == "git-gate" and r.get("verdict") == "allowed" and "n" in r
    ]
    assert sum(len(record.get("refs", ())) for record in accepted) >= 303


def test_a_page_that_is_killed_takes_nothing_twice(
    bottle: world.BottleUnderTest, internet: world.Internet, forge: Forge
) -> None:
    mark = internet.mark()
    env = {**os.environ, **bottle.env}
    for turn in range(3):
        argv = [*world.BOTTLE, "dashboard", "--port", "0"]
        with subprocess.Popen(argv, cwd=bottle.folder, env=env, stdout=subprocess.PIPE, text=True) as page:
            assert page.stdout is not None and page.stdout.readline().startswith("open ")
            write(bottle, f"page-{turn}", 40)
            page.send_signal(signal.SIGKILL)
    assert both_sides_agree(bottle, internet, forge, mark) >= 120


def test_a_new_container_goes_on_with_the_record(
    bottle: world.BottleUnderTest, internet: world.Internet, forge: Forge
) -> None:
    mark = internet.mark()
    write(bottle, "before", 5)
    world.docker("rm", "-f", f"claude-bottle-egress-{bottle.name}")
    bottle.stack.refresh()
    bottle.up()
    write(bottle, "after", 5)
    both_sides_agree(bottle, internet, forge, mark)
    assert not [record for record in records(bottle) if record["event"] == "gap" and "record" in record]


def test_a_full_record_lets_no_write_out_until_it_was_read(bottle: world.BottleUnderTest) -> None:
    fill = (
        "import os, pathlib; from claude_bottle.policy.record import *; r = Record(pathlib.Path(os.environ['CLAUDE_BOTTLE_RECORD']))\n"
        "for size in (60000, 1):\n"
        "  try:\n    while True: r.append({'part': 'egress', 'decision': 'allowed', 'method': 'POST', 'x': 'y' * size})\n"
        "  except RecordFullError: pass"
    )
    egress = f"claude-bottle-egress-{bottle.name}"
    world.docker("exec", "-w", "/app", egress, "python3", "-c", fill, timeout=120)
    status, said = bottle.curl("-d", "x", "https://echo.example.com/full")
    assert (status, json.loads(said)["reason"]) == (503, "record_full")
    assert "audit collect" in said
    assert bottle.curl("https://echo.example.com/read")[0] == 200
    collected = bottle.audit("collect")
    assert "collected into" in collected.stdout, collected.stderr
    assert bottle.curl("-d", "x", "https://echo.example.com/full")[0] == 200
