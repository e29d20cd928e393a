"""A side that takes less than the other gives: bounded memory, and everybody else goes on.

Source: RFC 9113, 5.2 (an HTTP/2 sender goes no further than its receiver's window; a receiver gives it as it takes) and
10.5.1 (an intermediary that buffers without a limit can be made to run out of memory). curl is the client.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import world

pytestmark = pytest.mark.docker

READ, SPLICED = "slow.example.com", "spliced.example.com"
# Text that nothing can be read in, and the same each time: base64 by chance holds a vendor's shape once in 800 MB, and
# where it is of words these are looked at too, which takes three times as long.
TEXT = f"openssl enc -aes-128-ctr -K {'0' * 32} -iv {'0' * 32} -in /dev/zero 2> /dev/null | base64 -w 0"
LIMIT = 400  # MB of each proxy, of 512; without a bound it is killed for memory. `make load` says how much it is
SERVER = Path(__file__).with_name("slow_server.py")


@dataclass
class Sides:
    bottle: world.BottleUnderTest

    def start(self, script: str) -> None:
        """Run a script in the agent, beside what follows."""
        world.docker("exec", "-d", "-u", "node", f"claude-bottle-agent-{self.bottle.name}", "bash", "-c", script)

    def memory(self) -> dict[str, int]:
        """The most that each proxy's process has had since it was started, in MB (proc(5), VmHWM)."""
        look = "cat /proc/[0-9]*/status | grep VmHWM"
        peaks = {}
        for role in ("egress", "pipelock"):
            said = world.docker("exec", f"claude-bottle-{role}-{self.bottle.name}", "sh", "-c", look)
            peaks[role] = max(int(one) for one in re.findall(r"\d+", said)) // 1024
        return peaks

    def started(self) -> list[str]:
        return [self.bottle.container_id(role) for role in ("egress", "pipelock")]


@pytest.fixture(scope="module")
def sides(internet: world.Internet, sidecar_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    name = f"{internet.container}-slow"
    argv = ["create", "--name", name, "--label", f"{world.LABEL}=slow", "--network", internet.network, "--user", "0"]
    argv += ["--network-alias", READ, "--network-alias", SPLICED, "--entrypoint", "/opt/proxy/bin/python"]
    manifest: dict[str, Any] = {
        "agent": {"memory": "1g", "apt": ["curl"]},
        "egress": {"routes": [{"host": READ}, {"host": SPLICED}]},
        "pipelock": {"ca_files": ["root.pem"], "passthrough": [SPLICED]},
        "network": {"external": internet.network},
    }
    try:
        world.docker(*argv, sidecar_image, "/slow/server.py", "/slow/server.pem")
        files = {"slow/server.py": SERVER.read_bytes(), "slow/server.pem": internet.leaf(READ, SPLICED)}
        world.docker("cp", "-", f"{name}:/", stdin=world.tar(files))
        world.docker("start", name)
        with world.bottle(tmp_path_factory.mktemp("slow"), manifest, files={"root.pem": internet.ca}) as bottle:
            bottle.up()
            bottle.agent("truncate -s 400M ~/zeros; truncate -s 24M ~/some")
            yield Sides(bottle)
    finally:
        world.docker("rm", "-f", "-v", name, check=False)


@pytest.mark.parametrize("host", [READ, SPLICED])
@pytest.mark.parametrize("spoken", ["--http2", "--http1.1"])
def test_whoever_takes_a_download_slowly_takes_no_memory(sides: Sides, host: str, spoken: str) -> None:
    started = sides.started()
    for number in range(20):
        sides.start(f"curl -sN {spoken} -m 14 https://{host}/events > ~/events{number}")
    sides.start(f"curl -s {spoken} -m 14 --limit-rate 1k -o /dev/null https://{host}/big/1000")
    time.sleep(9)
    assert sides.bottle.curl(spoken, f"https://{host}/ok") == (200, "ok\n")
    events = sides.bottle.agent("for n in $(seq 0 19); do tail -n 2 ~/events$n | head -n 1; done; rm ~/events*")
    assert all(int(line.removeprefix("data: ")) > 25 for line in events.split("\n") if line), events
    assert max(sides.memory().values()) < LIMIT, sides.memory()
    assert sides.started() == started


@pytest.mark.parametrize("host", [READ, SPLICED])
@pytest.mark.parametrize("spoken", ["--http2", "--http1.1"])
def test_whoever_takes_an_upload_slowly_takes_no_memory(sides: Sides, host: str, spoken: str) -> None:
    started = sides.started()
    sides.start(f"curl -s {spoken} -m 14 -T ~/zeros https://{host}/slow/5000000")
    time.sleep(9)
    assert sides.bottle.curl(spoken, f"https://{host}/ok") == (200, "ok\n")
    assert max(sides.memory().values()) < LIMIT, sides.memory()
    assert sides.started() == started


@pytest.mark.parametrize("host", [READ, SPLICED])
@pytest.mark.parametrize("spoken", ["--http2", "--http1.1"])
def test_what_a_slow_side_takes_is_whole(sides: Sides, host: str, spoken: str) -> None:
    size = 24 << 20
    status, answer = sides.bottle.curl(spoken, "-T", "/home/node/some", f"https://{host}/slow/8000000")
    assert (status, json.loads(answer)["length"]) == (200, size)
    said = sides.bottle.agent(f"curl -s {spoken} -m 200 --limit-rate 8M https://{host}/big/24 | wc -c")
    assert int(said) == size


def test_one_slow_stream_holds_up_no_other_of_its_connection(sides: Sides) -> None:
    """One client connection of HTTP/2 with an upload that is taken slowly and forty small requests."""
    parts = " --next ".join(f"-s -o /dev/null -w '%{{http_code}} ' https://{READ}/ok" for _ in range(40))
    slow = f"-s -m 12 -T ~/zeros https://{READ}/slow/100000 -o /dev/null -w 'slow '"
    said = sides.bottle.agent(f"curl -Z --http2 {parts} --next {slow}")
    assert said.count("200") == 40, said
    assert said.index("slow") > said.rindex("200")


def test_many_large_bodies_at_a_time_wait_and_no_part_ends(sides: Sides) -> None:
    """Each of them is held whole by pipelock; chunked ones have no length that says so."""
    started = sides.started()
    sides.bottle.agent(f"{TEXT} | head -c 19M > ~/text")
    for chunked in ("", "-H 'Transfer-Encoding: chunked'"):
        one = f"curl -s --http1.1 {chunked} -m 400 -T ~/text -o /dev/null -w '%{{http_code}} ' https://{READ}/slow/0"
        said = sides.bottle.agent(f"for n in $(seq 12); do {one} & done; wait", timeout=180).split()
        assert said == ["200"] * 12, said
    assert max(sides.memory().values()) < LIMIT, sides.memory()
    assert sides.started() == started


def test_a_form_of_three_million_fields_takes_little_memory(sides: Sides) -> None:
    started = sides.started()
    sides.bottle.agent("yes 'ab=cd&' | tr -d '\\n' | head -c 19M > ~/form")
    assert sides.bottle.curl("--http1.1", "--data-binary", "@/home/node/form", f"https://{READ}/ok")[0] == 200
    assert max(sides.memory().values()) < LIMIT, sides.memory()
    assert sides.started() == started


@pytest.mark.parametrize("each", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_streamed_uploads_and_small_requests_beside_them(sides: Sides, each: int) -> None:
    started = sides.started()
    sides.bottle.agent("rm -f ~/done*")
    sides.bottle.agent(f"head -c 50M /dev/urandom > ~/random; {TEXT} | head -c 50M > ~/text")
    for number, kind in ((n, kind) for n in range(each) for kind in ("random", "text")):
        out = f"-o /dev/null -w '%{{http_code}}' https://{READ}/slow/0 > ~/done{number}-{kind}"
        sides.start(f"curl -s --http1.1 -m 550 -T ~/{kind} {out}")
    time.sleep(2)
    small = f"curl -s -m 200 -o /dev/null -w '%{{http_code}} ' https://{READ}/ok"
    said = sides.bottle.agent(f"for n in $(seq 20); do {small}; done", timeout=600).split()
    assert said == ["200"] * 20
    for _ in range(500):
        done = sides.bottle.agent("cat ~/done*")
        if len(done) >= 6 * each:
            break
        time.sleep(1)
    assert done == "200" * (2 * each)
    assert max(sides.memory().values()) < LIMIT, sides.memory()
    assert sides.started() == started
