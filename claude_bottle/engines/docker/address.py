"""The Docker engine of a bottle: `docker:host` and `docker:certPath` of its stack, else the environment's."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from claude_bottle.host.stack_names import STACKS, stack_path
from claude_bottle.policy.errors import BottleError, Finding

HOST, CERTIFICATES = "docker:host", "docker:certPath"
_KNOWN = re.compile(r"(unix:///\S+|ssh://[^\s/]+|tcp://[^\s/]+:\d+)\Z")
_LOOPBACK = re.compile(r"tcp://(localhost|127\.[\d.]+|\[::1\]):\d+\Z")


def engine_variables(config: Mapping[str, Any]) -> dict[str, str]:
    """The variables that make the docker command use the same engine as Pulumi's provider; empty for the default one.

    config: of a stack, with full keys. Raises BottleError for an invalid address, and for a tcp:// address other than
    loopback without certificates.
    """
    host, certificates = config.get(HOST), config.get(CERTIFICATES)
    if host is None:
        return {}
    if not isinstance(host, str) or not _KNOWN.match(host):
        raise BottleError(f"{HOST}: {host!r} is not an engine's address; write ssh://user@host, or tcp://host:2376")
    if certificates is not None:
        folder = Path(str(certificates)).expanduser()
        return {"DOCKER_HOST": host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder)}
    if host.startswith("tcp://") and not _LOOPBACK.match(host):
        raise BottleError(f"{HOST}: {host} without {CERTIFICATES}: whoever reaches such an engine owns its machine")
    return {"DOCKER_HOST": host}


def engine_of(stack: str, project: Path = Path()) -> dict[str, str]:
    """The same, read from the stack's file; empty if there is no such file. Raises BottleError if it is not YAML."""
    file = stack_path(stack, project / STACKS)
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError):  # falling back to the default engine would be a guess
        raise BottleError(f"{file} is not YAML, so the engine of {stack} is unknown") from None
    config = document.get("config") if isinstance(document, dict) else None
    return engine_variables(config) if isinstance(config, dict) else {}


def not_in_file(stack: str, provided: Mapping[str, str], project: Path = Path()) -> Iterator[Finding]:
    """An engine of Pulumi's provider that the stack file does not name: every other command reads that file alone.

    provided: the variables of the provider's engine. The project's defaults and Pulumi ESC can set one too. Raises
    BottleError as engine_of does.
    """
    if provided != engine_of(stack, project):
        message = (
            "comes from the project's defaults or an environment (ESC), which only Pulumi reads. Write it under config"
            f" in the stack file of {stack}, because the other commands read that file"
        )
        yield Finding(HOST, provided.get("DOCKER_HOST", ""), message)


def prefix(variables: Mapping[str, str]) -> str:
    """The assignments to write before a shell command, so that it uses this engine."""
    return "".join(f"{name}={shlex.quote(value)} " for name, value in variables.items())
