"""The engine that docker's command line selects by its context. Pulumi's provider ignores contexts.

The files are those of docker's context store (docs.docker.com/engine/manage-resources/contexts): `config.json` names
the context, `contexts/meta/<SHA-256 of its name>/meta.json` has its endpoint. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claude_bottle.policy.errors import Finding
from claude_bottle.policy.own_command import own_command

DEFAULT = "unix:///var/run/docker.sock"


@dataclass(frozen=True)
class DockerContext:
    """name: of the context. host: its endpoint, "" if it cannot be read. has_tls: its certificates are in docker's own
    store, which no other program reads.
    """

    name: str
    host: str
    has_tls: bool


def context_in_use(environ: Mapping[str, str], home: Path) -> DockerContext | None:
    """The context in effect; None if DOCKER_HOST overrides it (docker(1)), or it is the default context."""
    if environ.get("DOCKER_HOST"):
        return None
    folder = Path(environ.get("DOCKER_CONFIG") or home / ".docker")
    name = environ.get("DOCKER_CONTEXT") or str(_json(folder / "config.json").get("currentContext") or "")
    if name in ("", "default"):
        return None
    identity = hashlib.sha256(name.encode()).hexdigest()
    endpoint = (_json(folder / "contexts/meta" / identity / "meta.json").get("Endpoints") or {}).get("docker") or {}
    return DockerContext(name, str(endpoint.get("Host") or ""), (folder / "contexts/tls" / identity).is_dir())


def is_far() -> bool:
    """Whether the engine that this process talks to is on another machine."""
    return not os.environ.get("DOCKER_HOST", "unix:").startswith("unix:")


def followed(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """The variable that makes every program, Pulumi's provider included, use the engine of the context in effect.

    Empty without such a context, and for one with TLS or without a readable endpoint.
    """
    context = context_in_use(environ, home)
    if context is None or context.has_tls or not context.host:
        return {}
    return {"DOCKER_HOST": context.host}


def not_followed(environ: Mapping[str, str], home: Path, stack: str) -> Iterator[Finding]:
    """A problem if docker's command line follows a context that Pulumi's provider does not: two engines, one bottle."""
    context = context_in_use(environ, home)
    if context is None or context.host == DEFAULT:
        return
    host = context.host or "ADDRESS"
    certificates = f" and docker:certPath: FOLDER (of its certificates: docker context export {context.name})"
    message = (
        "docker's command line follows this context, Pulumi's provider does not. Write"
        f" docker:host: {host}{certificates if context.has_tls else ''} under config in the stack file of {stack},"
        f" or export DOCKER_HOST={host}, or docker context use default; {own_command(f'up {stack}')} follows it"
    )
    yield Finding("docker context", context.name, message)


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
