"""Why an image could not be built: the last output of the failed step, and the manifest key that caused it.

Pulumi's provider reports only the step and its exit code, not a build's output, so the build is run once more.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from typing import Any

from claude_bottle.engines.client import NOT_BUILT
from claude_bottle.engines.images.build_proxies import build_proxies
from claude_bottle.host.child_env import child_env
from claude_bottle.policy.errors import printable

_LINES = 8
_SECONDS = 900
_BUILDKIT = re.compile(r"#\d+ (?:\d+\.\d+ )?")
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# Lines of the builder that are not output of the step, and progress lines of apt.
_ASIDE = re.compile(
    r"The command .* returned a non-zero code|executor failed|ERROR: (?:failed to|process)|-{4,}| ---> |Removing inter"
    r"|DEPRECATED:|\s+Install the buildx|\s+https://docs\.docker\.com/go/buildx|Sending build context"
    r"|[A-Za-z.]*Dockerfile:\d+|(?:Get|Hit|Ign):\d+ |Fetched |Reading (?:package|state)|Building dependency"
    r"|debconf: |npm notice|Processing triggers|Setting up |Unpacking |Selecting |Preparing to "
    r"|.*(?:can be found in: |A complete log of this run)"
)
_STEP = re.compile(r"(?:Step \d+/\d+ : |\[[^\]]*\d+/\d+\] )(.*)")


def build_reason(resource: str, build: Mapping[str, Any], variables: Mapping[str, str]) -> str | None:
    """The reason, to show to a person; None if the build succeeds now or cannot run. variables: see address.py."""
    context, file = str(build.get("context") or ""), str(build.get("dockerfile") or "Dockerfile")
    if not context:
        return None
    argv = ["docker", "build", "-f", file if file.startswith("/") else f"{context}/{file}"]
    arguments, proxies = build.get("buildArgs"), build_proxies()
    for name, value in (arguments if isinstance(arguments, Mapping) else {}).items():
        # A proxy may hold a login, and everybody on the machine could read it on the command line.
        argv += ["--build-arg", name if name in proxies else f"{name}={value}"]
    try:
        done = subprocess.run(
            [*argv, context],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
            env=child_env({**variables, **proxies}),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return reason(resource, done.stdout) if done.returncode != 0 else None


def reason(resource: str, output: str) -> str:
    """The reason, from the builder's output. Pure."""
    step, said = "", list[str]()
    for line in output.splitlines():
        line = _BUILDKIT.sub("", _ANSI.sub("", line), count=1).rstrip()
        if match := _STEP.match(line):
            step, said = match[1], []
        elif line.strip() and not _ASIDE.match(line) and line not in said:
            said.append(line)
    last = "\n".join(f"  {printable(line)}" for line in said[-_LINES:]) or "  it said nothing"
    return f"{_key(resource, step)}: {NOT_BUILT}, because this step failed:\n{last}"


def _key(resource: str, step: str) -> str:
    if "-agent-image-own-" in resource:
        return "agent.dockerfile"
    if "-agent-image-packages-" in resource:
        return "agent.npm" if "npm install" in step else "agent.apt"
    return "one of the bottle's own images"
