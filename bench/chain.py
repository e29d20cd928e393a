"""The chain against direct and bare mitmdump, side by side, alternating, in one run. `make bench`.

All load goes from a container of this run to a server of this run, on Docker networks of its own. Writes
docs/performance.json, the plots and the tables of docs/performance.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/integration")]

import world  # noqa: E402

from bench.traffic import HOST, WORK  # noqa: E402
from claude_bottle.policy.names.roles import SIDECAR_ROLES  # noqa: E402
from components import images  # noqa: E402

LABEL = ["--label", f"{world.LABEL}=bench"]
DIRECT, ONE_HOP, TWO_HOPS, CHAIN = "direct", "mitmdump, 1 hop", "mitmdump, 2 hops", "claude-bottle"
ONCE = ("POST 20 MB", "download 500 MB", "upload 500 MB")  # a round of these takes seconds: fewer rounds
PYTHON = "/opt/proxy/bin/python"
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
# Bodies are streamed, both ways: bare mitmdump would hold them.
STREAM = b"""
def requestheaders(flow):
    flow.request.stream = True

def responseheaders(flow):
    flow.response.stream = True
"""


@dataclass
class Setting:
    """Containers that are up. paths: name of a path to the proxy's address for the client."""

    client: str
    bottle: world.BottleUnderTest
    paths: dict[str, str]
    parts: dict[str, list[str]] = field(default_factory=dict)

    def measure(self, path: str, work: str) -> dict[str, float]:
        """Run one piece of work over one path."""
        argv = ["exec", self.client, PYTHON, "/bench/traffic.py", work, "--proxy", self.paths[path]]
        measured: dict[str, float] = json.loads(world.docker(*argv, timeout=300))
        return measured


def _start(name: str, network: str, files: dict[str, bytes], *argv: str, alias: str = "") -> None:
    aliases = ["--network-alias", alias] if alias else []
    image = images.tag("egress")
    options = [*LABEL, "--network", network, *aliases, "--user", "0", "--entrypoint", argv[0]]
    world.docker("create", "--name", name, *options, image, *argv[1:])
    world.docker("cp", "-", f"{name}:/", stdin=world.tar(files))
    world.docker("start", name)


@contextlib.contextmanager
def setting(
    folder: Path, others: dict[str, str], more_roots: bytes, programs: dict[str, bytes] | None = None
) -> Iterator[Setting]:
    """Bring all of it up; takes it away again. others: name to container:port of more to compare.

    programs: more files of client and server, by path; `bench/server.py` among them is the server then.
    """
    world.built("egress")
    outside = "claude-bottle-bench-outside"
    server, client, one, two = (f"claude-bottle-bench-{n}" for n in ("server", "client", "bare-1", "bare-2"))
    ca = world._certificate("claude-bottle bench root")
    leaf, key = world._certificate(HOST, issuer=ca, names=[HOST])
    program = (Path(__file__).with_name("traffic.py")).read_bytes()
    files = {"bench/traffic.py": program, "bench/ca.pem": world._pem(ca[0]), **(programs or {})}
    serve = ["server.py", "/bench/server.pem"] if "bench/server.py" in files else ["traffic.py", "serve"]
    # The bare proxies make certificates with the run's own CA, so that every client trusts one root.
    bare = {
        "bare/stream.py": STREAM,
        "bare/mitmdump.py": (Path(__file__).with_name("bare.py")).read_bytes(),
        "bare/mitmproxy-ca.pem": world._key_pem(ca[1]) + world._pem(ca[0]),
        "bare/ca.pem": world._pem(ca[0]),
    }
    # A script of the year 1970, as in a tar of ours, is one that mitmproxy never loads.
    common = [
        "sh",
        "-c",
        f'touch /bare/stream.py; exec {PYTHON} /bare/mitmdump.py "$@"',
        "sh",
        "-q",
        "--set",
        "confdir=/bare",
        "-s",
        "/bare/stream.py",
        "--set",
        "flow_detail=0",
    ]
    common += ["--set", "ssl_verify_upstream_trusted_ca=/bare/ca.pem", "--set", "connection_strategy=lazy"]
    try:
        world.outside_network(outside, *LABEL)
        serving = {**files, "bench/server.pem": world._key_pem(key) + world._pem(leaf)}
        _start(server, outside, serving, PYTHON, "-u", f"/bench/{serve[0]}", serve[1], alias=HOST)
        _start(one, outside, bare, *common, "--mode", "regular", "--listen-port", "8080")
        _start(two, outside, bare, *common, "--mode", f"upstream:http://{one}:8080", "--listen-port", "8080")
        _start(client, outside, files, "sleep", "86400")
        for address in others.values():
            world.docker("network", "connect", outside, address.partition(":")[0])
        manifest = {
            "egress": {"routes": [{"host": HOST, "token_ref": "BENCH_TOKEN"}]},
            "pipelock": {"ca_files": ["root.pem"]},
            "network": {"external": outside},
            "supervise": True,
            "git": [{"name": "gate", "upstream": f"https://{HOST}/acme/gate.git", "token_ref": "BENCH_TOKEN"}],
        }
        token = {"BENCH_TOKEN": "bench-0123456789abcdefghij"}
        with world.bottle(folder / "project", manifest, token, {"root.pem": world._pem(ca[0])}) as bottle:
            bottle.up()
            name = f"claude-bottle-agent-{bottle.name}"
            # The client joins the agent's network and believes the agent's CA.
            networks = world.docker(
                "inspect", "-f", "{{range $n, $_ := .NetworkSettings.Networks}}{{$n}} {{end}}", name
            )
            world.docker("network", "connect", networks.split()[0], client)
            own = bottle.agent("cat /usr/local/share/ca-certificates/claude-bottle-mitm-ca.crt").encode()
            roots = world._pem(ca[0]) + own + more_roots
            world.docker("cp", "-", f"{client}:/", stdin=world.tar({"bench/ca.pem": roots}))
            paths = {DIRECT: "", ONE_HOP: f"{one}:8080", TWO_HOPS: f"{two}:8080", CHAIN: "egress:8080", **others}
            egress, pipelock = (f"claude-bottle-{role}-{bottle.name}" for role in ("egress", "pipelock"))
            try:
                yield Setting(client, bottle, paths, {ONE_HOP: [one], TWO_HOPS: [two, one], CHAIN: [egress, pipelock]})
            finally:  # first, for it is on the bottle's network
                world.docker("rm", "-f", "-v", client, check=False)
    finally:
        for address in others.values():
            world.docker("network", "disconnect", outside, address.partition(":")[0], check=False)
        for container in (server, client, one, two):
            world.docker("rm", "-f", "-v", container, check=False)
        world.docker("network", "rm", outside, check=False)


def memory(container: str) -> float:
    """Resident megabytes (1e6) of all processes of a container."""
    script = "cat /proc/[0-9]*/status 2>/dev/null | grep VmRSS || true"
    lines: list[str] = []
    while not lines:  # on a busy machine one look may come between two processes
        lines = world.docker("exec", container, "sh", "-c", script).splitlines()
    return sum(int(line.split()[1]) for line in lines) * 1024 / 1e6


def used_memory(containers: Iterable[str]) -> dict[str, float]:
    """Megabytes (1e6) of each container as `docker stats` tells them: without the cache of files."""
    shape = ["--no-stream", "--format", "{{.Name}} {{.MemUsage}}"]
    sizes = {}
    for line in world.docker("stats", *shape, *containers, timeout=300).splitlines():
        name, amount = line.split()[:2]
        unit = amount.lstrip("0123456789.")
        sizes[name] = float(amount.removesuffix(unit)) * _UNITS[unit] / 1e6
    return sizes


def cpu_seconds(container: str) -> float:
    """Of all processes that are there, and the children that they have waited for."""
    lines = world.docker("exec", container, "sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null").splitlines()
    return sum(int(ticks) for line in lines for ticks in line.rpartition(")")[2].split()[11:15]) / 100


def growth(here: Setting) -> dict[str, dict[str, float]]:
    """Resident MB of each proxy of the chain before and after 500 MB down and 500 MB up."""
    before = {part: memory(part) for part in here.parts[CHAIN]}
    for work in ("download 500 MB", "upload 500 MB"):
        here.measure(CHAIN, work)
    return {part: {"before": mb, "after": memory(part)} for part, mb in before.items()}


def run(here: Setting, rounds: int, chosen: list[str]) -> dict[str, dict[str, dict[str, list[float]]]]:
    """work to path to measure to one value a round; the paths in another order each round."""
    results: dict[str, dict[str, dict[str, list[float]]]] = {}
    for work in chosen:
        results[work] = {path: {} for path in here.paths}
        for number in range(min(rounds, 3) if work in ONCE else rounds):
            order = list(here.paths)
            random.Random(f"{work}{number}").shuffle(order)  # noqa: S311 - an order, no secret
            for path in order:
                for name, value in here.measure(path, work).items():
                    results[work][path].setdefault(name, []).append(value)
        medians = {
            path: {k: round(sorted(v)[len(v) // 2], 5) for k, v in m.items()} for path, m in results[work].items()
        }
        print(work, json.dumps(medians), flush=True)
    return results


def main() -> None:
    """Entry point."""
    from bench import report

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", action="append", choices=list(WORK), help="only this; may be given again")
    parser.add_argument(
        "--proxy", action="append", default=[], metavar="NAME=CONTAINER:PORT", help="one more to compare"
    )
    parser.add_argument("--proxy-ca", type=Path, help="PEM: the root by which that one intercepts")
    args = parser.parse_args()
    more_roots = args.proxy_ca.read_bytes() if args.proxy_ca else b""
    others = dict(item.split("=", 1) for item in args.proxy)
    with tempfile.TemporaryDirectory() as name, setting(Path(name), others, more_roots) as here:
        for path in here.paths:  # certificates made, connections warm, every part's code loaded
            here.measure(path, "small, 1 client, kept")
        parts = {f"claude-bottle-{role}-{here.bottle.name}": role for role in SIDECAR_ROLES}
        idle = {parts[name]: mb for name, mb in used_memory(parts).items()}
        print(
            "idle, MB:",
            {role: round(mb, 1) for role, mb in idle.items()},
            "in all",
            round(sum(idle.values())),
            flush=True,
        )
        grown = growth(here) if not args.work else {}
        before = {part: cpu_seconds(part) for parts in here.parts.values() for part in parts}
        results = run(here, args.rounds, args.work or list(WORK))
        after = {
            part: {"mb": memory(part), "cpu_s": cpu_seconds(part) - before[part]}
            for parts in here.parts.values()
            for part in parts
        }
        for part, costs in after.items():
            print(part, costs, flush=True)
    if not args.work:
        report.write(results, idle, after, grown)


if __name__ == "__main__":
    main()
