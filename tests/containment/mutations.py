"""Takes each layer away in turn, in a copy of the checkout, and runs the attacks against it: the tests of that layer must fail.

    python3 tests/containment/mutations.py [LAYER …]      (through: python3 -m toolchain run -- …)

Prints a table: the layer, what was taken away, and which attacks of that layer got through.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Mutation:
    """edits: (file, regular expression, replacement); each must match, or there is nothing taken away."""

    layer: str
    what: str
    edits: tuple[tuple[str, str, str], ...]


MUTATIONS = (
    Mutation("network", "agent network not internal, host on the bridge", (
        ("components/network.py", r'self\._network\("agent", args\.stack, internal=True\)', 'self._network("agent", args.stack, internal=False)'),
    )),
    Mutation("dns", "agent's name server is one that answers, on the host", (
        ("components/network.py", r'CLOSED_DNS = "127.0.0.1"', 'CLOSED_DNS = "172.17.0.1"'),
        ("components/network.py", r'self\._network\("agent", args\.stack, internal=True\)', 'self._network("agent", args.stack, internal=False)'),
    )),
    Mutation("egress-routes", "default deny: an undeclared host gets the first route's rules", (
        ("addons/egress_core.py", r"        if not patterns:\n            return \[\]", "        if not patterns:\n            return [Route(host)]"),
        ("addons/pipelock_core.py", r"if not any_match\(\[pattern for pattern in self\.allowlist if not ended\(self\.until\.get\(pattern\)\)\], host\):", "if False:"),
    )),
    Mutation("egress-ports", "any port", (
        ("addons/proxy_guard.py", r"if port not in ALLOWED_PORTS\.values\(\):", "if False:"),
        ("addons/egress_core.py", r"if ALLOWED_PORTS\.get\(scheme\) != port:", "if False:"),
        ("addons/pipelock_core.py", r"if ALLOWED_PORTS\.get\(scheme\) != port:", "if False:"),
    )),
    Mutation("egress-host", "any spelling of an address is a host name", (
        ("addons/hosts.py", r"    if is_ip_literal\(name\):\n        raise ValueError\(\"an IP address is not a host name\"\)", "    name = name.strip('[]').rstrip('.')"),
        ("addons/hosts.py", r"        if not _LABEL\.match\(label\):\n            raise ValueError\(\"not a host name\"\)", "        pass"),
        ("addons/egress_core.py", r"        if not patterns:\n            return \[\]", "        if not patterns:\n            return [Route(host)]"),
        ("addons/pipelock_core.py", r"if not any_match\(\[pattern for pattern in self\.allowlist if not ended\(self\.until\.get\(pattern\)\)\], host\):", "if False:"),
        ("addons/pipelock_addon.py", r"if data\.server\.address is None or is_ip_literal\(data\.server\.address\[0\]\):", "if False:"),
        ("addons/vetted_names.py", r"return policy\.refuse_addresses\(host, .*\)", "return None"),
    )),
    Mutation("egress-agreement", "CONNECT, SNI and Host need not agree", (
        ("addons/proxy_guard.py", r"    host = canonical_host\(request\.host\)\n    target = tunnels", "    return (tunnels.target(flow.client_conn) or (canonical_host(request.pretty_host), 0))[0]\n    host = canonical_host(request.host)\n    target = tunnels"),
    )),
    Mutation("egress-http", "heads with control characters pass", (
        ("addons/proxy_guard.py", r"    check_plain\(request\)\n", ""),
    )),
    Mutation("egress-paths", "paths and methods are not looked at", (
        ("addons/egress_core.py", r"        if not any\(route\.paths for route in routes\):\n        return routes", "        return routes"),
        ("addons/egress_core.py", r"    if not any\(route\.paths for route in routes\):\n        return routes", "    return routes"),
        ("addons/egress_core.py", r"            if method in route\.methods:", "            if True:"),
    )),
    Mutation("egress-git", "git push over https passes", (
        ("addons/egress_core.py", r"        if is_git_push_request\(path\):", "        if False:"),
    )),
    Mutation("egress-tokens", "answers are not masked", (
        ("addons/egress_addon.py", r"bodies\.mask_response\(flow, flow\.response, self\._mask\)", "setattr(flow.response, 'stream', True)"),
    )),
    Mutation("egress-tokens", "the agent's own credentials stay", (
        ("addons/egress_addon.py", r"            headers\.pop\(name, None\)\n        headers\.pop\(\"proxy-connection\"", "            pass\n        headers.pop(\"proxy-connection\""),
    )),
    Mutation("pipelock-addresses", "inner addresses may be dialled", (
        ("addons/pipelock_core.py", r"if any_match\(self\.trusted, host\) or all\(", "if True or all("),
    )),
    Mutation("pipelock-dlp", "nothing is looked at", (
        ("addons/dlp.py", r"            rule = self\._rules\.find\(data, generic=[^\n]*\n", "            rule = None\n"),
        ("addons/pipelock_bodies.py", r"return core\.refuse\(error\.reason, f\"The body", "return None if True else core.refuse(error.reason, f\"The body"),
    )),
    Mutation("hardening", "capabilities and new privileges", (
        ("components/container.py", r'capabilities=docker\.ContainerCapabilitiesArgs\(drops=\["ALL"\]\)', 'capabilities=docker.ContainerCapabilitiesArgs(adds=["CAP_SYS_ADMIN", "CAP_NET_RAW", "CAP_NET_ADMIN", "CAP_MKNOD"])'),
        ("components/container.py", r'security_opts=\["no-new-privileges:true"\]', 'security_opts=["seccomp=unconfined"]'),
    )),
)  # fmt: skip


_REAL = ["tcp-metadata", "tcp-private", "udp-multicast", "udp-broadcast", "default-route"]


def run(mutation: Mutation) -> str:
    """One line of the table."""
    with tempfile.TemporaryDirectory(prefix="claude-bottle-mutation-") as folder:
        copy = Path(folder) / "checkout"
        skip = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis")
        shutil.copytree(ROOT, copy, ignore=skip)
        (copy / ".venv").symlink_to(ROOT / ".venv")
        changed = 0
        for name, pattern, replacement in mutation.edits:
            text = (copy / name).read_text()
            made, count = re.subn(pattern, lambda _, r=replacement: r, text)  # type: ignore[misc]
            changed += count
            (copy / name).write_text(made)
        if not changed:
            return f"| {mutation.layer} | {mutation.what} | nothing was taken away: the source has changed |"
        argv = [
            "python3",
            "-m",
            "pytest",
            "tests/containment/test_attacks.py",
            "-q",
            "--tb=no",
            "-p",
            "no:cacheprovider",
            "-k",
            "test_attack[",
        ]
        rows = yaml.safe_load((ROOT / "tests/containment/attacks.yaml").read_text())
        others = [row["id"] for row in rows if row["layer"] not in (mutation.layer, "none")]
        # Without the network layer these would leave this machine: the metadata address is on the sink, but not only there.
        env = {**os.environ, "CLAUDE_BOTTLE_LEAVE_OUT": " ".join([*others, *_REAL])}
        done = subprocess.run(argv, cwd=copy, capture_output=True, text=True, check=False, timeout=900, env=env)
        failed = re.findall(r"^FAILED \S+test_attack\[([a-z0-9-]+)-(?:node|0)\]", done.stdout, re.MULTILINE)
        if not failed and " passed" not in done.stdout:
            return f"| {mutation.layer} | {mutation.what} | did not come up: {done.stdout.strip().splitlines()[-1][:100]} |"
    through, total = sorted(set(failed)), len(rows) - len(others) - 4
    return f"| {mutation.layer} | {mutation.what} | {len(through)} of {total}: {', '.join(through[:8])} |"


def main() -> int:
    wanted = sys.argv[1:]
    print("| layer | taken away | its attacks that got through |\n|---|---|---|", flush=True)
    missed = 0
    for mutation in MUTATIONS:
        if not wanted or mutation.layer in wanted:
            line = run(mutation)
            missed += (
                "| 0: " in line.rpartition("|")[0].rpartition("|")[0]
                or "nothing was taken" in line
                or "did not come" in line
            )
            print(line, flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
