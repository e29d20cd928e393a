"""Answers of package clients on the owner's machine, and the routes for them. Pure. Credentials are refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import urlsplit

from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.names.hosts import canonical_pattern
from claude_bottle.policy.routes.table import ALLOWED_PORTS
from claude_bottle.policy.routes.targets import checked_path
from claude_bottle.policy.shown_values import may_be_shown

_PARAMETERS = re.compile("[;=:]")  # RFC 3986, 3.3: a part of a path may hold a name and its value


class NoAnswer(BottleError):
    """There is no such client, or its answer cannot be a route. The message never contains the answer."""


@dataclass(frozen=True)
class Told:
    """urls: where the client gets its packages. values: values for variables, by the names in the presets."""

    urls: Sequence[str]
    values: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def place(client: str, url: str, signed: bool = False) -> tuple[str, str]:
    """Host and path prefix ("" for every path) of an address. Raises NoAnswer if it cannot be a route.

    signed: as in a preset.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise NoAnswer(f"{client} reports something that is not an address") from None
    pieces = [*re.split("[.:]", parts.hostname or ""), *parts.path.split("/")]
    held = _PARAMETERS.search(parts.path) or not all(may_be_shown("", piece) for piece in pieces)
    if "@" in parts.netloc or parts.query or parts.fragment or held:
        raise NoAnswer(f"{client} reports an address that may hold a credential, so it is not used")
    if parts.scheme not in (("https", "http") if signed else ("https",)):
        raise NoAnswer(f"{client} reports an address that does not begin with https://")
    if port not in (None, ALLOWED_PORTS[parts.scheme]):
        raise NoAnswer(f"{client} reports an address with a port, but {parts.scheme} is allowed on its own port only")
    try:
        host = canonical_pattern(parts.hostname or "")
    except ValueError as error:
        raise NoAnswer(f"{client} reports an address that cannot be a route ({error})") from None
    path = parts.path.rstrip("/")
    if host.startswith("*.") or (path and checked_path(path) != path):
        raise NoAnswer(f"{client} reports an address that cannot be a route (its path is not plain)")
    return host, path
