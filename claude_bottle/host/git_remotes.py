"""The declared git remotes with their credentials, read and checked before any resource. No Pulumi."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from claude_bottle.host.child_env import child_env
from claude_bottle.manifest.checks import no_secret, shown_name
from claude_bottle.manifest.model import GitRemote
from claude_bottle.policy.declared import push_policy
from claude_bottle.policy.errors import NOT_SHOWN, Finding
from claude_bottle.policy.names.git_upstream import Upstream


@dataclass(frozen=True)
class GateRemote:
    """One remote. secret: private key or token, or "" if it is missing. rules: gitleaks TOML, or ""."""

    config: GitRemote
    upstream: Upstream
    secret: str = field(repr=False)
    rules: str

    @property
    def name(self) -> str:
        return self.config.name

    def entry(self) -> dict[str, Any]:
        """The gate's entry for this remote, without the credential."""
        user = {"token_user": self.upstream.user} if self.upstream.scheme == "https" and self.upstream.user else {}
        policy = push_policy.stored(dict(self.config))
        return {"name": self.name, "upstream": self.upstream.url, **user, **policy, "rules": bool(self.rules)}

    @property
    def credential(self) -> str:
        """How the gate authenticates at the upstream, in words."""
        if self.upstream.scheme == "ssh":
            return str(self.config.identity_file)
        return f"token {self.config.token_ref}" + (f" as {self.upstream.user}" if self.upstream.user else "")


def upstream_of(config: GitRemote) -> Upstream:
    """The upstream, with the user name for its token."""
    upstream = Upstream.parse(config.upstream)
    if not config.token_user or upstream.scheme == "ssh":
        return upstream
    return replace(upstream, user=config.token_user)


def remotes_file(remotes: Sequence[GateRemote]) -> str:
    """The gate's `remotes.json`, without secrets."""
    return json.dumps({"remotes": [remote.entry() for remote in remotes]}, indent=2) + "\n"


@dataclass
class RemoteReader:
    """Reads the entries of `git[]`. find_secret: value of a named secret, or None. base: the folder of the stack file.

    stack, secrets: its name, and the names of its secrets.
    """

    base: Path
    find_secret: Callable[[str], str | None]
    stack: str = ""
    secrets: Collection[str] = ()
    findings: list[Finding] = field(default_factory=list)

    def read(self, remotes: Sequence[GitRemote]) -> list[GateRemote]:
        """All remotes. Problems are added to `findings`; a remote with a problem may lack its secret."""
        accepted: list[GateRemote] = []
        names: dict[str, int] = {}  # to the number of the first remote that has it
        upstreams: dict[str, int] = {}
        for index, config in enumerate(remotes):
            path, upstream = f"git[{index}]", upstream_of(config)
            named, spellings = names.setdefault(config.name, index), upstream.spellings()
            same = min((upstreams.setdefault(spelling, index) for spelling in spellings), default=index)
            if named < index:
                self._say(f"{path}.name", config.name, f"is also the name of git[{named}]")
            if same < index and same != named:
                self._say(f"{path}.upstream", config.upstream, f"is also the repository of git[{same}]")
            secret = self._key(path, config) if upstream.scheme == "ssh" else self._token(path, config)
            if upstream.scheme == "ssh":
                self._known_hosts(path, config, upstream)
                if config.token_user:
                    how = "is for https; with ssh the upstream names the user (ssh://me@host/path.git)"
                    self._say(f"{path}.token_user", config.token_user, how)
            accepted.append(GateRemote(config, upstream, secret, self._rules(path, config)))
        return accepted

    def _say(self, path: str, value: object, message: str) -> None:
        self.findings.append(Finding(path, value, message))

    def _file(self, name: str) -> Path:
        return Path(name).expanduser() if name.startswith("~") else self.base / name

    def _key(self, path: str, config: GitRemote) -> str:
        if not config.identity_file:
            self._say(f"{path}.identity_file", NOT_SHOWN, "an ssh upstream needs one: the private key to push with")
            return ""
        path, file = f"{path}.identity_file", self._file(config.identity_file)
        try:
            text = file.read_text()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "is not text"
            self._say(
                path,
                config.identity_file,
                f"cannot be read: {why} ({file}); name the file of a private key, such as ~/.ssh/deploy",
            )
            return ""
        if file.stat().st_mode & 0o077:
            self._say(path, config.identity_file, f"others on this machine can read it; chmod 600 {file}")
        if "PRIVATE KEY-----" not in text:
            self._say(path, config.identity_file, "is not a private key")
        elif wrong := _passphrase(file):
            self._say(path, config.identity_file, wrong)
        return text.rstrip("\n") + "\n"

    def _token(self, path: str, config: GitRemote) -> str:
        path = f"{path}.token_ref"
        if not config.token_ref:
            self._say(
                path,
                NOT_SHOWN,
                "an https upstream needs one; write token_ref: GITHUB_TOKEN, the name of the secret to push with",
            )
            return ""
        token = self.find_secret(config.token_ref) or ""
        if not token:
            self._say(path, shown_name(config.token_ref), no_secret(config.token_ref, self.stack, self.secrets))
        elif not token.isascii() or not token.isprintable():
            self._say(path, config.token_ref, "this secret is not a token: printable ASCII characters, no line end")
        return token

    def _known_hosts(self, path: str, config: GitRemote, upstream: Upstream) -> None:
        path = f"{path}.known_hosts"
        how = (
            f"{upstream.keyscan}   (compare its fingerprints with those that the host publishes, then paste the lines)"
        )
        if not config.known_hosts:
            self._say(path, NOT_SHOWN, f"is required, because a host is never trusted on first use: {how}")
            return
        lines = [line.split() for line in config.known_hosts.splitlines() if line.strip() and not line.startswith("#")]
        if any(len(words) < 3 or words[0].startswith("@") for words in lines):
            self._say(path, NOT_SHOWN, f"not lines of a known_hosts file: {how}")
        elif not any(words[0].startswith("|1|") or upstream.known_host in words[0].split(",") for words in lines):
            self._say(path, NOT_SHOWN, f"no line is about {upstream.known_host}: {how}")

    def _rules(self, path: str, config: GitRemote) -> str:
        if not config.gitleaks_config:
            return ""
        try:
            text = self._file(config.gitleaks_config).read_text()
            tomllib.loads(text)
        except (OSError, ValueError) as error:
            wrong = f"not a readable TOML file of gitleaks rules: {error}"
            self._say(f"{path}.gitleaks_config", config.gitleaks_config, wrong)
            return ""
        return text


def _passphrase(file: Path) -> str | None:
    """Why a key cannot be used without a person; None if it can, or if ssh-keygen is not available to check."""
    try:
        done = subprocess.run(
            ["ssh-keygen", "-y", "-P", "", "-f", str(file)],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
            env=child_env(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode == 0 or "bad permissions" in done.stderr:
        return None
    if "passphrase" in done.stderr:
        return "has a passphrase, which nobody can type here; make a deploy key without one for this repository"
    return "is not a private key that ssh can read"
