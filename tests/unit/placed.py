"""A value at a key path of the manifest, with what that key needs beside it."""

from __future__ import annotations

from typing import Any

NEEDS: dict[str, dict[str, Any]] = {
    "egress.routes[].": {"host": "api.github.com", "token_ref": "GITHUB_TOKEN"},
    "pipelock.dlp.patterns[].": {"name": "ticket", "regex": "tkt_[a-z0-9]{32}"},
    "git[].": {"name": "project", "upstream": "git@git.example.com:acme/project.git"},
    "pipelock.allow[].": {"host": "registry.example.com"},
    "workspace.": {"path": "~/src/project"},
    "use[].": {"name": "python"},
    "egress.routes[].follow": {"host": "api.github.com", "methods": ["GET"]},
    "egress.routes[].repositories": {"host": "api.github.com", "path": ["/graphql"]},
}


def placed(path: str, value: Any) -> dict[str, Any]:
    """The raw manifest. path: as in claude_bottle/manifest/examples.py."""
    parts = path.split(".")
    for index in range(len(parts) - 1, -1, -1):
        beside = NEEDS.get("".join(f"{part}." for part in parts[:index]), {})
        beside = NEEDS.get(path, beside) if index == len(parts) - 1 else beside
        name = parts[index].rstrip("[]{}")
        if index < len(parts) - 1 and parts[index].endswith("[]"):
            value = [value]
        elif index < len(parts) - 1 and parts[index].endswith("{}"):
            value = {"api.example.com": value}
        more = {"engine": "upstream"} if path == "pipelock.image" and index == 1 and isinstance(value, str) else {}
        more |= (
            {"upstream_proxy": "http://proxy.example.com:3128"}
            if path == "pipelock.upstream_proxy_ref" and index == 1
            else {}
        )
        value = {**beside, **more, name: value}
    return dict(value)
