"""Upstreams of git remotes: the meaning of a spelling, and all other spellings of the same repository. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from claude_bottle.policy.names.hosts import canonical_pattern

_SCP = re.compile(r"(?:(?P<user>[A-Za-z0-9._-]+)@)?(?P<host>[A-Za-z0-9.-]+):(?!//)(?P<path>.+)\Z")
_PATH = re.compile(r"[A-Za-z0-9._~+@%-]+(/[A-Za-z0-9._~+@%-]+)*\Z")
_USER = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]*\Z")
# Forges put these into the addresses that they show (https://me@host/path.git). A token in that place is longer.
_HTTPS_USERS = ("git", "x-access-token")
_LONGEST_USER = 32
_FORMS = "write ssh://git@host/path.git, git@host:path.git or https://host/path.git"


@dataclass(frozen=True)
class Upstream:
    """One repository on one host. path: without leading and trailing slashes and `.git`.

    user: for https, of basic authentication; empty if none is given.
    """

    scheme: str
    user: str
    host: str
    port: int
    path: str
    suffix: str

    @classmethod
    def parse(cls, text: str) -> Upstream:
        """Raises ValueError with the accepted forms."""
        if "://" in text:
            parts = urlsplit(text)
            if parts.scheme not in ("ssh", "https") or parts.query or parts.fragment or not parts.hostname:
                raise ValueError(f"not an upstream; {_FORMS}")
            if parts.password or (parts.scheme == "https" and len(parts.username or "") > _LONGEST_USER):
                raise ValueError("an upstream must not contain a credential; name it with token_ref or identity_file")
            user, host, path = parts.username or ("git" if parts.scheme == "ssh" else ""), parts.hostname, parts.path
            port = parts.port or (22 if parts.scheme == "ssh" else 443)
            scheme = parts.scheme
        elif match := _SCP.match(text):
            user, host, path, port, scheme = match["user"] or "git", match["host"], match["path"], 22, "ssh"
        else:
            raise ValueError(f"not an upstream; {_FORMS}")
        try:
            host = canonical_pattern(host)
        except ValueError as error:
            raise ValueError(f"{error}; {_FORMS}") from None
        bare = path.strip("/")
        suffix = ".git" if bare.endswith(".git") else ""
        bare = bare.removesuffix(".git")
        if not _PATH.match(bare) or not _USER.match(user or "git") or ".." in bare.split("/") or host.startswith("*"):
            raise ValueError(f"not an upstream; {_FORMS}")
        return cls(scheme, user, host, port, bare, suffix)

    @property
    def url(self) -> str:
        """The canonical spelling, which the gate uses."""
        default = 22 if self.scheme == "ssh" else 443
        at = f"{self.host}:{self.port}" if self.port != default else self.host
        user = f"{self.user}@" if self.scheme == "ssh" else ""
        return f"{self.scheme}://{user}{at}/{self.path}{self.suffix}"

    @property
    def known_host(self) -> str:
        """The host's name in known_hosts."""
        return self.host if self.port == 22 else f"[{self.host}]:{self.port}"

    @property
    def keyscan(self) -> str:
        """The command that fetches the host keys."""
        return f"ssh-keyscan {f'-p {self.port} ' if self.port != 22 else ''}{self.host}"

    def spellings(self) -> list[str]:
        """Every URL prefix of this repository, longest first among those of which one is a prefix of another."""
        ssh_port = self.port if self.scheme == "ssh" else 22
        https_port = self.port if self.scheme == "https" else 443
        ports = ["", ":22"] if ssh_port == 22 else [f":{ssh_port}"]
        users = list(dict.fromkeys([self.user, "git"] if self.user else ["git"]))
        heads = [f"ssh://{u}{self.host}{p}/" for u in [*(f"{user}@" for user in users), ""] for p in ports]
        if ssh_port == 22:
            heads += [f"{u}@{self.host}:{lead}" for u in users for lead in ("", "/")]
        ports = ["", ":443"] if https_port == 443 else [f":{https_port}"]
        named = [f"{quote(user, safe='')}@" for user in dict.fromkeys([*users, *_HTTPS_USERS])]
        heads += [f"https://{u}{self.host}{p}/" for u in ["", *named] for p in ports]
        heads += [f"http://{self.host}/", f"git://{self.host}/"]
        return [f"{head}{self.path}{end}" for head in heads for end in (".git/", ".git", "/", "")]


# git runs this in place of ssh (git-config(1), core.sshCommand). Without it, agents try to install ssh.
_NO_SSH = (
    "claude-bottle: this bottle allows no ssh, and this repository is not declared. Installing ssh does not help.",
    "It can be reached once the owner declares it under git: in the manifest (name, upstream, identity_file or"
    " token_ref).",
    "A public one can be read by https (git clone https://HOST/PATH) where its host has a route; ask for that with",
    "the supervise tool egress-block.",
)


def git_config(remotes: Mapping[str, Upstream], hosts: Iterable[str] = ()) -> str:
    """The agent's git configuration: every spelling of a declared upstream leads to the gate. remotes: by name.

    hosts: those with a route. Undeclared repositories there are fetched over https, if egress allows it. git uses the
    longest matching prefix, so declared upstreams still lead to the gate.
    """
    lines = ["# Written by claude-bottle: declared upstreams are reached through git-gate."]
    for name, upstream in remotes.items():
        lines.append(f'[url "git://git-gate/{name}.git"]')
        lines += [f"\tinsteadOf = {spelling}" for spelling in upstream.spellings()]
    for host in sorted(host for host in set(hosts) if not host.startswith("*")):
        lines.append(f'[url "https://{host}/"]')
        by_ssh = [f"ssh://{user}{host}{port}/" for user in ("git@", "") for port in ("", ":22")]
        lines += [f"\tinsteadOf = {prefix}" for prefix in (f"git@{host}:", f"git@{host}:/", *by_ssh, f"git://{host}/")]
    said = "; ".join(f"echo '{line}' >&2" for line in _NO_SSH)
    lines += ["[core]", f'\tsshCommand = "no_ssh() {{ {said}; exit 128; }}; no_ssh"', "[ssh]", "\tvariant = ssh"]
    return "\n".join(lines) + "\n"
