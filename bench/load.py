"""Load on a bottle, one kind after the other: errors, small requests beside it, memory of the proxies. `make load`.

Prints a table; --idle N: looks N seconds after the last load at what the proxies have kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The client's program finds its neighbour there as it does in its container.
sys.path[:0] = [str(ROOT), str(ROOT / "tests/integration"), str(ROOT / "bench")]

import world  # noqa: E402
from load_work import LOADS  # noqa: E402

from bench.chain import LABEL, PYTHON, memory  # noqa: E402
from bench.traffic import HOST  # noqa: E402
from components import images  # noqa: E402


@dataclass
class Setting:
    client: str
    bottle: world.BottleUnderTest

    def parts(self) -> list[str]:
        return [f"claude-bottle-{role}-{self.bottle.name}" for role in ("egress", "pipelock")]

    def memory(self) -> list[float]:
        return [round(memory(part)) for part in self.parts()]

    def restarts(self) -> int:
        told = [world.docker("inspect", "-f", "{{.RestartCount}}", part) for part in self.parts()]
        return sum(map(int, told))


@contextmanager
def setting(folder: Path) -> Iterator[Setting]:
    """A server, a client on the agent's network, and a bottle between them; all of it is taken away again."""
    world.built("egress")
    outside, server, client = (f"claude-bottle-load-{name}" for name in ("outside", "server", "client"))
    ca = world._certificate("claude-bottle load root")
    leaf, key = world._certificate(HOST, issuer=ca, names=[HOST])
    here = Path(__file__).parent
    program = (ROOT / "tests/integration/slow_server.py").read_bytes()
    files = {"slow/server.py": program, "slow/server.pem": world._key_pem(key) + world._pem(leaf)}
    try:
        world.outside_network(outside, *LABEL)
        options = [*LABEL, "--user", "0", "--entrypoint", PYTHON, "--network", outside]
        image = images.tag("egress")
        argv = ["--name", server, *options, "--network-alias", HOST, image, "/slow/server.py", "/slow/server.pem"]
        world.docker("create", *argv)
        world.docker("cp", "-", f"{server}:/", stdin=world.tar(files))
        world.docker("start", server)
        manifest = {
            "egress": {"routes": [{"host": HOST, "token_ref": "BENCH_TOKEN"}]},
            "pipelock": {"upstream_roots": ["root.pem"]},
            "network": {"outside": outside},
        }
        token = {"BENCH_TOKEN": "bench-0123456789abcdefghij"}
        with world.bottle(folder / "project", manifest, token, {"root.pem": world._pem(ca[0])}) as bottle:
            bottle.up()
            agent = f"claude-bottle-agent-{bottle.name}"
            shape = "{{range $n, $_ := .NetworkSettings.Networks}}{{$n}} {{end}}"
            network = world.docker("inspect", "-f", shape, agent).split()[0]
            own = bottle.agent("cat /usr/local/share/ca-certificates/claude-bottle-mitm-ca.crt").encode()
            files = {f"bench/{name}.py": (here / f"{name}.py").read_bytes() for name in ("traffic", "load_work")}
            options = [*LABEL, "--user", "0", "--entrypoint", "sleep", "--network", network]
            world.docker("create", "--name", client, *options, image, "86400")
            world.docker("cp", "-", f"{client}:/", stdin=world.tar({**files, "bench/ca.pem": own}))
            world.docker("start", client)
            try:
                yield Setting(client, bottle)
            finally:  # first, for it is on the bottle's network
                world.docker("rm", "-f", "-v", client, check=False)
    finally:
        world.docker("rm", "-f", "-v", server, check=False)
        world.docker("network", "rm", outside, check=False)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12, help="of each kind of load")
    parser.add_argument("--idle", type=float, default=0, help="seconds of rest before the last look at the memory")
    parser.add_argument("--load", action="append", choices=list(LOADS), help="only this; may be given again")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, setting(Path(name)) as here:
        print("| load | done | errors | kept p50 / p99, ms | fresh p50 / p99, ms | egress, pipelock, MB | restarts |")
        print("|---|---|---|---|---|---|---|")
        began = here.memory()
        for load in ("alone", *(one for one in args.load or LOADS if one != "alone")):
            argv = ["exec", here.client, PYTHON, "/bench/load_work.py", load, "--proxy", "egress:8080"]
            told = json.loads(world.docker(*argv, "--seconds", str(args.seconds), timeout=600))
            times = (f"{told[k]['p50'] * 1e3:.0f} / {told[k]['p99'] * 1e3:.0f}" for k in ("kept", "fresh"))
            row = [load, told["done"], told["errors"], *times, here.memory(), here.restarts()]
            print("| " + " | ".join(str(one) for one in row) + " |", flush=True)
        time.sleep(args.idle)
        print(f"\nMemory before {began} and {args.idle:.0f} s after: {here.memory()} MB (egress, pipelock).")


if __name__ == "__main__":
    main()
