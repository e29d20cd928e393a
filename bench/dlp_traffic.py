"""What DLP makes of the traffic of real programs: each runs in a real bottle with everything on. `make dlp-traffic`.

Prints a table, and with --write puts it into docs/dlp-traffic.md: program, its version, requests, false alarms. The
servers are containers of the run. A program of a registry is run against the real one where its hosts are named:
--registries FILE, one host a line, as the owner's own clients have them. A line NAME=VALUE of that file is a variable
for the programs: apt needs APT_SOURCE, a line of its sources.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import secrets
import shlex
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/integration")]

import world

from claude_bottle.engines.images.build_context import digest
from components import images

FOLDER = ROOT / "bench/programs"
NAMES = [
    "api",
    "blob",
    "forge",
    "form",
    "gcs",
    "gems",
    "git",
    "grpc",
    "hog",
    "hub",
    "k8s",
    "laravel",
    "llm",
    "mcp",
    "mcp-auth",
    "otel",
    "pay",
    "registry",
    "s3",
    "sentry",
    "socket",
    "state",
    "ws",
]
LABEL = ["--label", f"{world.LABEL}=programs"]
_SECONDS = 570  # of one program; Maven fetches some 500 files, one after the other
BEGIN, END = "<!-- measured: traffic -->\n", "<!-- end of measured: traffic -->\n"


@dataclass
class Row:
    """What one program did. requests: by method. alarms: reason or rule of what was refused, how often."""

    name: str
    sends: str
    ok: bool
    requests: Counter[str]
    alarms: Counter[str]
    said: str

    def __str__(self) -> str:
        alarms = ", ".join(f"{count} {what}" for what, count in self.alarms.items()) or "0"
        methods = ", ".join(f"{method} {count}" for method, count in self.requests.most_common()) or "none"
        return f"| {self.name} | {'yes' if self.ok else 'no'} | {self.sends} | {methods} | {alarms} |"


def existing_image() -> str | None:
    """The image of the programs and their servers, where it is there."""
    reference = tag()
    return (
        reference if world.docker("image", "inspect", "--format", "{{.Id}}", reference, check=False).strip() else None
    )


def tag() -> str:
    return f"claude-bottle/bench-programs:{digest(FOLDER / 'Dockerfile', FOLDER, exact_modes=False)[:16]}"


def image() -> str:
    """The image of the programs and their servers; built where it is not there."""
    reference = tag()
    if existing_image() is None:
        print("building the image of the programs, some minutes", file=sys.stderr)
        args = {"BASE": images.tag("agent"), "EXTRA_ROOTS": images.build_args().get("EXTRA_ROOTS", "")}
        options = [word for item in args.items() for word in ("--build-arg", "=".join(item))]
        world.docker("build", "-q", *options, "-t", reference, str(FOLDER), timeout=3000)
    return reference


@contextlib.contextmanager
def servers(name: str) -> Iterator[world.Internet]:
    """The servers on a network that leads nowhere; taken away again."""
    ca = world._certificate("claude-bottle programs root")
    leaf, key = world._certificate("programs", issuer=ca, names=["*.example.com"])
    pem = world._key_pem(key) + world._pem(leaf)
    network = f"claude-bottle-programs-{secrets.token_hex(4)}"
    try:
        address = world.outside_network(network, *LABEL)
        argv = ["create", "--name", network, *LABEL, "--network", network, "--ip", address, "--user", "0", "--init"]
        argv += [word for host in NAMES for word in ("--network-alias", f"{host}.example.com")]
        world.docker(*argv, "--entrypoint", "python3", name, "-u", "/serve/serve.py", "/serve/pem")
        files = {f"serve/{file.name}": file.read_bytes() for file in FOLDER.glob("*.py")} | {"serve/pem": pem}
        world.docker("cp", "-", f"{network}:/", stdin=world.tar(files))
        world.docker("start", network)
        yield world.Internet(network, network, world._pem(ca[0]), address, ca)
    finally:
        world.docker("rm", "-f", "-v", network, check=False)
        world.docker("network", "rm", network, check=False)


def manifest(name: str, hosts: list[str], network: str | None) -> dict[str, Any]:
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return {
        "agent": {"image": name, "memory": "3g"},
        "egress": {"routes": [{"host": host, "methods": methods} for host in hosts]},
        "pipelock": {"ca_files": ["root.pem"], "passthrough": []},
        **({"network": {"external": network}} if network else {}),
    }


def run(bottle: world.BottleUnderTest, program: dict[str, Any], variables: list[str]) -> Row:
    """One program, in a folder of its own."""
    before = {role: len(bottle.decisions(role)) for role in ("egress", "pipelock")}
    lines = ["set -e", *(f"export {shlex.quote(variable)}" for variable in variables), program["run"], ""]
    script = base64.b64encode("\n".join(lines).encode()).decode()
    shell = (
        f"cd $(mktemp -d) && echo {script} | base64 -d > s && timeout {_SECONDS} bash s; code=$?; echo; echo exit $code"
    )
    said = bottle.agent(shell, timeout=_SECONDS + 30).rstrip()
    decisions = {role: bottle.decisions(role)[before[role] :] for role in before}
    decided = [one for one in decisions["egress"] if one.get("decision") in ("allowed", "refused", "unfinished")]
    alarms: Counter[str] = Counter()
    for one in (*decisions["egress"], *decisions["pipelock"]):
        # A browser asks for hosts of its maker's, which nobody has declared.
        refused = one.get("decision") == "refused" and one.get("reason") != "host_not_declared"
        if refused or one.get("redacted"):
            alarms[f"{one['part']} {one.get('reason') or one.get('redacted')}"] += 1
    methods = Counter(str(one.get("method")) for one in decided)
    return Row(program["name"], program["sends"], said.endswith("exit 0"), methods, alarms, said)


def measured(programs: list[dict[str, Any]], given_lines: list[str]) -> Iterator[Row]:
    name = image()
    variables = [line for line in given_lines if "=" in line]
    registries = [line for line in given_lines if "=" not in line]
    with tempfile.TemporaryDirectory() as folder, servers(name) as internet:
        own = [program for program in programs if not program.get("registry")]
        given = [program for program in programs if program.get("registry")] if registries else []
        for number, (some, hosts, network) in enumerate(
            ((own, [f"{host}.example.com" for host in NAMES], internet.network), (given, registries, None))
        ):
            if not some:
                continue
            files = {"root.pem": internet.ca + (roots() if network is None else b"")}
            with world.bottle(Path(folder) / str(number), manifest(name, hosts, network), {}, files) as bottle:
                bottle.up()
                for program in some:
                    yield run(bottle, program, variables)


def roots() -> bytes:
    """The roots that the build host trusts besides the public ones."""
    return base64.b64decode(images.build_args().get("EXTRA_ROOTS", ""))


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", action="append", default=[], help="programs whose name holds this; may be given again"
    )
    parser.add_argument("--registries", type=Path, help="a file of hosts and NAME=VALUE, one a line")
    parser.add_argument("--write", action="store_true", help="put the table into docs/dlp-traffic.md")
    parser.add_argument("--verbose", action="store_true", help="print what a program said that did not go well")
    args = parser.parse_args()
    programs = tomllib.loads((FOLDER / "programs.toml").read_text())["program"]
    chosen = [one for one in programs if not args.only or any(word in one["name"] for word in args.only)]
    lines = args.registries.read_text().splitlines() if args.registries else []
    rows = []
    head = "| program | succeeded | what it sent | requests | false alarms |\n|---|---|---|---|---|"
    print(head)
    for row in measured(chosen, lines):
        rows.append(row)
        print(row, flush=True)
        if args.verbose and (not row.ok or row.alarms):
            print(row.said[-1500:], file=sys.stderr)
    total = sum(sum(row.alarms.values()) for row in rows)
    done = sum(row.ok for row in rows)
    requests = sum(row.requests.total() for row in rows)
    summary = f"{done} of {len(rows)} programs did their work, {requests} requests, {total} false alarms"
    print(f"\n{summary}")
    if args.write:
        page = ROOT / "docs/dlp-traffic.md"
        before, _, rest = page.read_text().partition(BEGIN)
        table = "\n".join([f"{summary}.\n", head, *map(str, rows)])
        page.write_text(f"{before}{BEGIN}{table}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
