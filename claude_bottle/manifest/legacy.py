"""Keys of older manifests, from before this project, and the equivalent new YAML. Pure.

Entries may be a list or a mapping by name. Information missing in an entry becomes a word in capitals for the owner to
fill in. A value that could be a credential is never shown.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import yaml

from claude_bottle.manifest.fields import is_token_name
from claude_bottle.manifest.render.routes import CLAUDE_TOKEN
from claude_bottle.manifest.route_model import EgressRoute
from claude_bottle.policy.names.hosts import canonical_pattern
from claude_bottle.policy.routes.injection import auth_header

# Old keys and files are translated until this day. After it, their output says that the converters have ended.
END = datetime.date(2027, 12, 31)
LEGACY_KEYS = ("tokens", "cred_proxy", "egress_proxy", "ssh")
# The hosts and tokens for roles and kinds of old entries.
_KNOWN = {
    "anthropic": ("api.anthropic.com", CLAUDE_TOKEN),
    "claude": ("api.anthropic.com", CLAUDE_TOKEN),
    "github": ("api.github.com", "GITHUB_TOKEN"),
    "gh": ("api.github.com", "GITHUB_TOKEN"),
}
_ASK_HOST = "NAME-THE-HOST"
_ASK_TOKEN = "NAME_OF_THE_SECRET"  # noqa: S105 - a word to be filled in


def rewrite(key: str, value: object) -> str:
    """One line of YAML to replace the old key."""
    if key == "ssh":
        return flow({"git": [git_remote(entry) for entry in _entries(value)] or [git_remote({})]}) + _note()
    return flow({"egress": {"routes": routes(value) or [_route({})]}}) + _note()


def rewrite_role(route: Mapping[str, Any]) -> str:
    """One line of YAML to replace a route that still has a `role`."""
    kept = {key: value for key, value in route.items() if key in EgressRoute.model_fields}
    if not auth_header(str(kept.get("auth_scheme"))):
        kept.pop("auth_scheme", None)  # it may be a credential, and is invalid in any case
    known = _known(route.get("role"))
    if known:
        kept = {"host": known[0], **kept}
        kept.setdefault("token_ref", known[1])
    if "token_ref" in kept:
        kept["token_ref"] = _token_ref(kept)
    return flow(kept) + _note()


def ended(today: datetime.date | None = None) -> str:
    """The remark after the end of the converters; "" before it."""
    if (today or datetime.date.today()) <= END:
        return ""
    return f"the converters of old manifests ended on {END}: check this against docs/manifest.md, key by key"


def _note() -> str:
    return f"  # {ended()}" if ended() else ""


def flow(value: object) -> str:
    """The value as one line of YAML."""
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=100_000).strip()


def routes(value: object) -> list[dict[str, Any]]:
    """The equivalent routes for the value of `tokens`, `cred_proxy` or `egress_proxy`."""
    if isinstance(value, Mapping) and isinstance(value.get("routes"), list | Mapping):
        value = value["routes"]
    return [_route(entry) for entry in _entries(value)]


def git_remote(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The equivalent git remote for an entry of `ssh` or of the old `git`."""
    low = {str(key).lower().replace("_", ""): item for key, item in entry.items()}
    host = str(low.get("hostname") or low.get("host") or _ASK_HOST)
    user, port = str(low.get("user") or "git"), str(low.get("port") or 22)
    at = f"{host}:{port}" if port != "22" else host
    upstream = str(low.get("upstream") or f"ssh://{user}@{at}/OWNER/REPOSITORY.git")
    name = str(low.get("name") or upstream.removesuffix(".git").rpartition("/")[2].lower())
    known = low.get("knownhostkey") or low.get("knownhosts")
    if known and " " in str(known) and not str(known).startswith(host):
        known = f"{host} {known}" if port == "22" else f"[{host}]:{port} {known}"
    remote = {"name": name, "upstream": upstream, "identity_file": low.get("identityfile"), "known_hosts": known}
    return {key: item for key, item in remote.items() if item}


def _entries(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, Mapping):
        if any(str(key).lower() in ("host", "upstream", "hostname", "token_ref", "kind", "role") for key in value):
            yield dict(value)
            return
        for name, item in value.items():
            yield {"name": name, **(item if isinstance(item, Mapping) else {"value": item})}
    elif isinstance(value, list):
        for item in value:
            yield dict(item) if isinstance(item, Mapping) else {"name": item}


def _route(entry: Mapping[str, Any]) -> dict[str, Any]:
    auth = entry.get("auth") if isinstance(entry.get("auth"), Mapping) else {}
    merged = {**entry, **{f"auth_{key}": item for key, item in (auth or {}).items()}}
    known = _known(entry.get("role") or entry.get("kind"))
    candidates = [entry.get("host"), entry.get("upstream"), entry.get("value"), known[0] if known else None]
    host = next((host for host in map(_host, candidates) if host), _ASK_HOST)
    route: dict[str, Any] = {"host": host}
    paths = (
        entry.get("path_allowlist") or entry.get("paths") or (entry.get("path") if "upstream" not in entry else None)
    )
    if paths:
        route["path"] = [str(path) for path in (paths if isinstance(paths, list) else [paths])]
    scheme = str(merged.get("auth_scheme") or "bearer").lower()
    credential = {"token_ref", "auth_token_ref", "token", "name", "kind", "role"} & set(merged)
    if credential or not entry:
        route["auth_scheme"] = scheme if scheme in ("bearer", "basic") else f"header:{merged['auth_scheme']}"
        route["token_ref"] = _token_ref(merged) if _token_ref(merged) != _ASK_TOKEN or not known else known[1]
    return route


def _token_ref(entry: Mapping[str, Any]) -> str:
    for key in ("token_ref", "auth_token_ref", "name"):
        if is_token_name(entry.get(key)):
            return str(entry[key])
    return _ASK_TOKEN


def _host(value: object) -> str | None:
    """The host in a name or URL; None for anything else, which may be a credential."""
    if not isinstance(value, str) or "." not in value:
        return None
    try:
        return canonical_pattern(urlsplit(value).hostname or "" if "://" in value else value)
    except ValueError:
        return None


def _known(role: object) -> tuple[str, str] | None:
    words = [str(item) for item in role] if isinstance(role, list) else [str(role or "")]
    return next((_KNOWN[part] for word in words for part in re.split(r"[^a-z]+", word.lower()) if part in _KNOWN), None)
