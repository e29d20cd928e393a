"""Git remotes of a manifest: every spelling of an upstream, and credentials that are in order."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest

from claude_bottle.host.git_remotes import RemoteReader, remotes_file
from claude_bottle.manifest.model import Manifest
from claude_bottle.policy.names.git_upstream import Upstream, git_config
from sidecar_images.git_gate.remotes import read_remotes

KNOWN = "git.example.com ssh-ed25519 AAAA"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    return file


def read(raw: list[dict[str, Any]]) -> tuple[Any, dict[str, str]]:
    reader = RemoteReader(Path("/nowhere"), {"GH": "a-token-of-length", "BAD": "a\nb"}.get)
    remotes = reader.read(Manifest.model_validate({"git": raw}).git)
    return remotes, {finding.path: str(finding) for finding in reader.findings}


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("ssh://git@git.example.com/a/p.git", "ssh://git@git.example.com/a/p.git"),
        ("ssh://git.example.com:22/a/p", "ssh://git@git.example.com/a/p"),
        ("ssh://me@git.example.com:2222/a/p.git/", "ssh://me@git.example.com:2222/a/p.git"),
        ("git@Git.Example.com:a/p.git", "ssh://git@git.example.com/a/p.git"),
        ("git@git.example.com:/a/p", "ssh://git@git.example.com/a/p"),
        ("https://git.example.com/a/p.git", "https://git.example.com/a/p.git"),
        ("https://git.example.com:8443/a/p", "https://git.example.com:8443/a/p"),
        ("https://me@git.example.com/a/p.git", "https://git.example.com/a/p.git"),
    ],
)
def test_an_upstream_has_one_spelling_for_the_gate(text: str, url: str) -> None:
    assert Upstream.parse(text).url == url


@pytest.mark.parametrize(
    "text",
    [
        "", "git.example.com", "http://git.example.com/a", "git://git.example.com/a", "file:///a", "/a/b", "../a",
        "https://me:word@git.example.com/a", "ssh://git:word@git.example.com/a",
        "ssh://-oProxyCommand=x@git.example.com/a", "ssh://git@-oProxyCommand=x/a", "-oX@git.example.com:a",
        "https://git.example.com/", "https://git.example.com/a/../b", "https://git.example.com/a?x=1",
        "ext::sh -c id", "git@git.example.com:a b", "https://*.example.com/a", "git@git.example.com:-x/../y",
    ],
)  # fmt: skip
def test_what_is_no_upstream_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"upstream|host|name|label|credential|write"):
        Upstream.parse(text)


@pytest.mark.parametrize("upstream", ["git@git.example.com:a/p.git", "https://git.example.com/a/p"])
def test_git_itself_rewrites_every_spelling(upstream: str, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(git_config({"p": Upstream.parse(upstream)}))
    heads = [
        "ssh://git@git.example.com/",
        "ssh://git@git.example.com:22/",
        "git@git.example.com:",
        "https://git.example.com/",
        "https://git@git.example.com/",
        "https://x-access-token@git.example.com/",
    ]
    for head in heads:
        for end in ("", ".git", "/", ".git/"):
            argv = ["git", "ls-remote", "--get-url", f"{head}a/p{end}"]
            env = {"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_SYSTEM": "/dev/null", "PATH": "/usr/bin:/bin"}
            done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True, cwd=tmp_path)
            assert done.stdout.strip() == "git://git-gate/p.git", argv


def test_remotes_in_order(key: Path) -> None:
    remotes, findings = read(
        [
            {"name": "p", "upstream": "git@git.example.com:a/p.git", "identity_file": str(key), "known_hosts": KNOWN},
            {"name": "q", "upstream": "https://git.example.com/a/q", "token_ref": "GH", "branches": ["agent/*"]},
        ]
    )
    assert findings == {}
    text = remotes_file(remotes)
    assert '"upstream": "ssh://git@git.example.com/a/p.git"' in text
    assert "a-token-of-length" not in text + repr(remotes)
    assert "PRIVATE" not in text + repr(remotes)


def test_what_is_not_in_order_is_told(key: Path, tmp_path: Path) -> None:
    open_key, locked, no_key = tmp_path / "open", tmp_path / "locked", tmp_path / "no"
    open_key.write_text(key.read_text())
    open_key.chmod(0o644)
    no_key.write_text("hello")
    no_key.chmod(0o600)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(locked)], check=True)
    base = {"name": "p", "upstream": "git@git.example.com:a/p.git", "identity_file": str(key), "known_hosts": KNOWN}
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"identity_file": "none"}, "git[0].identity_file", "cannot be read"),
        ({"identity_file": None}, "git[0].identity_file", "needs one"),
        ({"identity_file": str(open_key)}, "git[0].identity_file", "chmod 600"),
        ({"identity_file": str(no_key)}, "git[0].identity_file", "is not a private key"),
        ({"identity_file": str(locked)}, "git[0].identity_file", "has a passphrase"),
        ({"known_hosts": None}, "git[0].known_hosts", "ssh-keyscan git.example.com"),
        ({"known_hosts": "other.example.com ssh-ed25519 AAAA"}, "git[0].known_hosts", "no line is about"),
        ({"known_hosts": "git.example.com"}, "git[0].known_hosts", "not lines of a known_hosts file"),
        ({"known_hosts": "@cert-authority *.example.com ssh-ed25519 AAAA"}, "git[0].known_hosts", "not lines"),
        ({"upstream": "ssh://git@git.example.com:2222/a/p"}, "git[0].known_hosts", "ssh-keyscan -p 2222 git.example.com"),
        ({"upstream": "https://git.example.com/a", "identity_file": None}, "git[0].token_ref", "needs one"),
        ({"upstream": "https://git.example.com/a", "identity_file": None, "token_ref": "NONE"}, "git[0].token_ref", "no such"),
        ({"upstream": "https://git.example.com/a", "identity_file": None, "token_ref": "BAD"}, "git[0].token_ref", "line end"),
        ({"gitleaks_config": "none.toml"}, "git[0].gitleaks_config", "not a readable TOML"),
        ({"token_user": "you"}, "git[0].token_user", "is for https"),
    ]  # fmt: skip
    for change, path, words in cases:
        _, findings = read([{**base, **change}])
        assert list(findings) == [path], change
        assert words in findings[path], change
    twice = read([base, {**base, "upstream": "https://git.example.com/a/p", "identity_file": None, "token_ref": "GH"}])[
        1
    ]
    assert "also the name of git[0]" in twice["git[1].name"]
    twice = read([base, {**base, "name": "q", "upstream": "ssh://git@git.example.com:22/a/p"}])[1]
    assert "repository of git[0]" in twice["git[1].upstream"]


def test_the_check_grows_with_the_number_of_remotes_not_with_its_square(monkeypatch: pytest.MonkeyPatch) -> None:
    spellings, counted = Upstream.spellings, list[str]()
    monkeypatch.setattr(Upstream, "spellings", lambda self: [counted.append(self.url), spellings(self)][1])
    raw = [{"name": f"r{n}", "upstream": f"https://git.example.com/a/r{n}", "token_ref": "GH"} for n in range(50)]
    _, findings = read([*raw, {**raw[7], "name": "r3"}])
    assert "also the name of git[3]" in findings["git[50].name"]
    assert "repository of git[7]" in findings["git[50].upstream"]
    assert len(findings) == 2
    assert len(counted) == 51


HTTPS = {"name": "p", "upstream": "https://git.example.com/a/p", "token_ref": "GH"}


@pytest.mark.parametrize(
    ("change", "user"),
    [
        ({}, None), ({"token_user": "x-token-auth"}, "x-token-auth"), ({"token_user": "me@example.com"}, "me@example.com"),
        ({"upstream": "https://me@git.example.com/a/p.git"}, "me"), ({"token_user": "alice-at-123456789012"}, "alice-at-123456789012"),
        ({"upstream": "https://me@git.example.com/a/p.git", "token_user": "me"}, "me"),
    ],
)  # fmt: skip
def test_the_user_that_goes_with_a_token(change: dict[str, Any], user: str | None, tmp_path: Path) -> None:
    """Bitbucket's "Using access tokens" (x-token-auth); CodeCommit's "HTTPS Git credentials" (alice-at-123456789012)."""
    (remote,), findings = read([{**HTTPS, **change}])
    assert findings == {}
    assert remote.entry().get("token_user") == user
    assert remote.credential == ("token GH" if user is None else f"token GH as {user}")
    (tmp_path / "remotes.json").write_text(remotes_file([remote]))
    (tmp_path / "p.token").write_text("the-token")
    (gate,) = read_remotes(tmp_path)
    basic = base64.b64encode(f"{user or 'x-access-token'}:the-token".encode()).decode()
    assert f"Authorization: Basic {basic}" in gate.environment(tmp_path).values()
    assert "@" not in gate.upstream
    config = tmp_path / "config"
    config.write_text(git_config({"p": remote.upstream}))
    for name in filter(None, (user and user.replace("@", "%40"), "git")):
        argv = ["git", "ls-remote", "--get-url", f"https://{name}@git.example.com/a/p.git"]
        env = {"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_SYSTEM": "/dev/null", "PATH": "/usr/bin:/bin"}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True, cwd=tmp_path)
        assert done.stdout.strip() == "git://git-gate/p.git"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"token_user": "a:b"}, "never the token"), ({"token_user": "a\nb"}, "never the token"),
        ({"token_user": "-x"}, "never the token"), ({"token_user": f"ghp_{'a1' * 18}"}, "never the token"),
        ({"upstream": f"https://{'a1' * 10}@git.example.com/a/p"}, "must not contain a credential"),
        ({"upstream": f"https://{'x' * 33}@git.example.com/a/p"}, "must not contain a credential"),
        ({"upstream": "https://glpat-x@git.example.com/a/p"}, "must not contain a credential"),
        ({"upstream": "https://me@git.example.com/a/p", "token_user": "you"}, "two users: you and me"),
    ],
)  # fmt: skip
def test_a_token_is_no_user(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Manifest.model_validate({"git": [{**HTTPS, **change}]})


def asked(config: str, folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    file = folder / "config"
    file.write_text(config)
    env = {
        "GIT_CONFIG_GLOBAL": str(file),
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
    }
    return subprocess.run(["git", *argv], env=env, capture_output=True, text=True, check=False, cwd=folder, timeout=300)


@pytest.mark.parametrize(
    "url",
    [
        "git@git.example.com:a/q.git",
        "ssh://me@git.example.com/a/q",
        "ssh://git@git.example.com:29418/q",
        "git.example.com:q",
    ],
)
def test_an_undeclared_repository_by_ssh_says_what_to_do(url: str, tmp_path: Path) -> None:
    done = asked(git_config({"p": Upstream.parse("git@git.example.com:a/p.git")}), tmp_path, "clone", url, "x")
    assert done.returncode == 128
    for words in ("this bottle allows no ssh", "under git: in the manifest", "supervise tool egress-block"):
        assert words in done.stderr
    assert "cannot run" not in done.stderr


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("git@public.example.com:a/q.git", "https://public.example.com/a/q.git"),  # claude plugin marketplace add a/q
        ("git@public.example.com:/a/q", "https://public.example.com/a/q"),
        ("ssh://git@public.example.com/a/q", "https://public.example.com/a/q"),
        ("ssh://git@public.example.com:22/a/q", "https://public.example.com/a/q"),
        ("git@public.example.com:a/p.git", "git://git-gate/p.git"), ("git@x.example.com:a/q", "git@x.example.com:a/q"),
        ("git@public.example.com.evil.example.com:a/q", "git@public.example.com.evil.example.com:a/q"),
    ],
)  # fmt: skip
def test_a_public_repository_goes_by_https_where_its_host_has_a_route(url: str, address: str, tmp_path: Path) -> None:
    remotes = {"p": Upstream.parse("git@public.example.com:a/p.git")}
    config = git_config(remotes, ["public.example.com", "*.example.com"])
    assert asked(config, tmp_path, "ls-remote", "--get-url", url).stdout.strip() == address
