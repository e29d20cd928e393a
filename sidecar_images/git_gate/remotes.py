"""The declared upstreams, and how the gate's own git reaches one: pinned host key, one credential, nothing else."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from claude_bottle.policy.declared import push_policy
from claude_bottle.policy.declared.push_policy import PushPolicy
from claude_bottle.policy.names import files

from .tunnel import git_settings, ssh_option

ETC, MIRRORS = Path(files.GATE_ETC), Path(files.MIRRORS)
_SSH = (
    "ssh -F /dev/null -i {key} -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes"
    " -o UserKnownHostsFile={known} -o GlobalKnownHostsFile=/dev/null -o UpdateHostKeys=no -o ConnectTimeout=10"
    " -o ServerAliveInterval=15 -o ServerAliveCountMax=4 -o ForwardAgent=no -o ClearAllForwardings=yes"
)


@dataclass(frozen=True)
class Remote(PushPolicy):
    """One upstream, and its policy for pushes. rules: whether the owner has set gitleaks rules.

    token_user: sent with the token; GitHub and GitLab ignore it, others require one.
    """

    name: str
    upstream: str
    rules: bool = False
    token_user: str = "x-access-token"  # noqa: S105 - a name

    @property
    def mirror(self) -> Path:
        """The bare repository that is served."""
        return MIRRORS / f"{self.name}.git"

    @property
    def https(self) -> bool:
        return self.upstream.startswith("https://")

    def authorization(self, etc: Path = ETC) -> dict[str, str]:
        """The header with the token, for an https upstream."""
        token = (etc / f"{self.name}.token").read_text().strip()
        return {"Authorization": f"Basic {base64.b64encode(f'{self.token_user}:{token}'.encode()).decode()}"}

    def environment(self, etc: Path = ETC) -> dict[str, str]:
        """Environment variables for a git that talks to this upstream. No argument holds the credential."""
        settings = [("http.followRedirects", "false"), ("http.lowSpeedLimit", "1000"), ("http.lowSpeedTime", "60")]
        env = {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "https" if self.https else "ssh",
            "GIT_SSH_COMMAND": _SSH.format(key=etc / f"{self.name}.key", known=etc / f"{self.name}.known_hosts")
            + ssh_option(etc),
            "GIT_SSH_VARIANT": "ssh",
        }
        if self.https:
            settings += [("http.extraHeader", f"{key}: {value}") for key, value in self.authorization(etc).items()]
            settings += [("credential.helper", ""), *git_settings(etc)]
            roots = etc / "upstream-roots.pem"
            if roots.exists():
                settings.append(("http.sslCAInfo", files.GATE_ROOTS))
        env["GIT_CONFIG_COUNT"] = str(len(settings))
        for index, (key, value) in enumerate(settings):
            env[f"GIT_CONFIG_KEY_{index}"], env[f"GIT_CONFIG_VALUE_{index}"] = key, value
        return env


def read_remotes(etc: Path = ETC) -> list[Remote]:
    """The declared remotes. Raises OSError, ValueError, KeyError or TypeError unless the file is complete and valid."""
    document = json.loads((etc / "remotes.json").read_text())
    return [Remote(**{**entry, **push_policy.read(entry)}) for entry in document["remotes"]]


def remote_of(folder: Path, etc: Path = ETC) -> Remote:
    """The remote whose mirror is `folder`. Raises LookupError."""
    for remote in read_remotes(etc):
        if remote.mirror == folder:
            return remote
    raise LookupError(f"{folder} is not a declared remote")
