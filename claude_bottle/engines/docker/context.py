"""Which engine docker's own command line talks to by its context, of which Pulumi's provider knows nothing.

The files are those of docker's context store (docs.docker.com/engine/manage-resources/contexts): `config.json` names
the context, `contexts/meta/<SHA-256 of its name>/meta.json` has its endpoint. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claude_bottle.policy.errors import Finding
from claude_bottle.policy.own_command import own_command

DEFAULT = "unix:///var/run/docker.sock"


@dataclass(frozen=True)
class DockerContext:
    """name: of the context. host: its endpoint, "" where it cannot be read. has_tls: its certificates are in docker's
    store, where no other program looks.
    """

    name: str
    host: str
    has_tls: bool


def context_in_use(environ: Mapping[str, str], home: Path) -> DockerContext | None:
    """The context that decides; None where a variable does (docker(1), DOCKER_HOST), or it is the default one."""
    if environ.get("DOCKER_HOST"):
        return None
    folder = Path(environ.get("DOCKER_CONFIG") or home / ".docker")
    name = environ.get("DOCKER_CONTEXT") or str(_json(folder / "config.json").get("currentContext") or "")
    if name in ("", "default"):
        return None
    identity = hashlib.sha256(name.encode()).hexdigest()
    endpoint = (_json(folder / "contexts/meta" / identity / "meta.json").get("Endpoints") or {}).get("docker") or {}
    return DockerContext(name, str(endpoint.get("Host") or ""), (folder / "contexts/tls" / identity).is_dir())


def followed(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """The variable by which every program, Pulumi's provider too, talks to the engine of the context in use."""
    context = context_in_use(environ, home)
    if context is None or context.has_tls or not context.host:
        return {}
    return {"DOCKER_HOST": context.host}


def not_followed(environ: Mapping[str, str], home: Path, stack: str) -> Iterator[Finding]:
    """A context that docker's command line follows and Pulumi's provider does not: two engines for one bottle."""
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
