"""The text of a new stack file, with comments on what to add. Pure. It has no secret and no host of a registry."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from claude_bottle.policy.names.git_upstream import Upstream

# The manifest's names of its presets.
TOOLS = ("python", "node", "go", "rust", "java", "debian", "github")
MODEL_TOKEN, GIT_TOKEN = "CLAUDE_CODE_OAUTH_TOKEN", "GIT_TOKEN"


@dataclass(frozen=True)
class Wishes:
    """A person's answers. use: one of TOOLS or "". repo: a git URL or "". workspace: a folder or "".

    has_git: whether that folder has a `.git` to copy. model: whether Claude Code may reach its model.
    """

    use: str = ""
    repo: str = ""
    workspace: str = ""
    has_git: bool = False
    model: bool = True


def stack_file(name: str, wishes: Wishes) -> str:
    """The whole file. Raises ValueError for an invalid address of a repository."""
    refs = [*([MODEL_TOKEN] if wishes.model else []), *([GIT_TOKEN] if wishes.repo.startswith("https://") else [])]
    return "\n".join(
        [
            "# yaml-language-server: $schema=manifest.schema.json",
            f"# The bottle {name}. `bottle plan {name}` shows what it can reach, `bottle up {name}` brings it up.",
            "# Every key: docs/manifest.md.",
            *_tokens(name, refs),
            "config:",
            "  claude-bottle:bottle:",
            *("    " + line if line else line for line in _bottle(wishes)),
            "",
        ]
    )


def _tokens(name: str, refs: list[str]) -> list[str]:
    if not refs:
        return []
    lines = ["# Never write a token here. Export it in your shell by its name, or keep it as a secret of the stack:"]
    return lines + [f"#   bottle secret {name} {ref}" for ref in refs]


def _bottle(wishes: Wishes) -> list[str]:
    if wishes.use:
        lines = [
            f"use: [{wishes.use}]  # tools, and routes to read packages by (docs/presets.md); `bottle plan` shows all"
        ]
    else:
        lines = [f"# use: [python]  # or {', '.join(TOOLS[1:])}: docs/presets.md"]
    lines += [
        "agent:",
        "  memory: 4g",
        "  cpus: 2",
        "  # apt: [make, jq]  # Debian packages, an image layer of their own",
    ]
    if wishes.workspace:
        lines += ["# A copy of what git does not ignore; `bottle pull` brings the agent's work back.", "workspace:"]
        lines += [f"  path: {_quoted(wishes.workspace)}", *(["  copy_git: true"] if wishes.has_git else [])]
    else:
        lines += ["# workspace: {path: ~/src/project, copy_git: true}  # a copy; `bottle pull` brings the work back"]
    if wishes.repo:
        lines += _git(Upstream.parse(wishes.repo))
    lines += ["egress:"]
    if wishes.model:
        lines += ["  routes:", "    - host: api.anthropic.com", f"      token_ref: {MODEL_TOKEN}"]
        lines += ["      description: the model"]
    else:
        lines += ["  routes: []  # no outside access; add routes like the one below"]
    lines += ["    # What else it may reach, without a credential:"]
    lines += ['    # - host: "packages.example.com"', "    #   methods: [GET, HEAD]"]
    return lines


def _git(upstream: Upstream) -> list[str]:
    """The remote. For ssh it is commented out, because only its owner can provide a key and vouch for the host keys."""
    name = re.sub(r"[^a-z0-9._-]", "-", upstream.path.rpartition("/")[2].lower()).strip("-._")[:60] or "project"
    lines = ["git:", f"  - name: {name}", f"    upstream: {_quoted(upstream.url)}"]
    if upstream.scheme == "https":
        return [*lines, f"    token_ref: {GIT_TOKEN}  # only git-gate gets it", "    branches: [agent/*]"]
    lines += [f"    identity_file: ~/.ssh/deploy_{name}  # only git-gate gets it; mode 600, no passphrase"]
    lines += [f"    known_hosts: {upstream.known_host} …  # {upstream.keyscan}; compare with what the host publishes"]
    lines += ["    branches: [agent/*]"]
    return ["# To fetch and push through git-gate, fill these in and remove the `#`:", *(f"# {line}" for line in lines)]


def _quoted(text: str) -> str:
    return (
        text
        if re.fullmatch(r"[A-Za-z0-9/~][A-Za-z0-9/._~@:+-]*", text) and not text.endswith(":")
        else json.dumps(text)
    )
