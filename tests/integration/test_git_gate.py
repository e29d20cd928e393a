"""Pushing and fetching through git-gate: the ordinary git in the agent, a real sshd and a real https server outside."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
import world
from forge import HOST, TOKEN, Forge, git_forge

pytestmark = pytest.mark.docker

LEAK = "ghp_" + "A1b2C3d4E5f6G7h8J9k0L1m2N3p4Q5r6S7t8"
SETUP = "git config --global user.name Agent; git config --global user.email agent@example.com"


@pytest.fixture(scope="module")
def forge(internet: world.Internet, git_host_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    with git_forge(internet, git_host_image, tmp_path_factory.mktemp("keys")) as forge:
        for repository in ("ssh", "https", "limited", "lib", "review"):
            forge.repository(repository)
        yield forge


@pytest.fixture(scope="module")
def bottle(
    internet: world.Internet, forge: Forge, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[world.BottleUnderTest]:
    ssh = {"identity_file": str(forge.key), "known_hosts": forge.known_hosts}
    manifest: dict[str, Any] = {
        "agent": {"memory": "1g"},
        "egress": {"routes": [{"host": HOST}, {"host": "echo.example.com"}]},
        "pipelock": {"ca_files": ["root.pem"]},
        "git": [
            {
                "name": "ssh",
                "upstream": f"git@{HOST}:/srv/acme/ssh.git",
                "branches": ["*", "refs/tags/*", "refs/for/*"],
                "allow_force_push": True,
                "allow_deletions": True,
                "push_options": ["ci.skip", "note=*"],
                **ssh,
            },
            {
                "name": "https",
                "upstream": f"https://{HOST}/acme/https.git",
                "token_ref": "FORGE_TOKEN",
                "branches": ["*", "refs/tags/*"],
            },
            {
                "name": "limited",
                "upstream": f"ssh://git@{HOST}/srv/acme/limited.git",
                "branches": ["agent/*"],
                "max_push_mb": 2,
                "max_file_mb": 1,
                **ssh,
            },
            {"name": "moved", "upstream": f"https://{HOST}/acme/moved", "token_ref": "FORGE_TOKEN"},
            {"name": "renamed", "upstream": f"https://{HOST}/acme/renamed.git", "token_ref": "FORGE_TOKEN"},
            {"name": "old", "upstream": f"git@{HOST}:/srv/acme/old.git", **ssh},
            {"name": "lib", "upstream": f"ssh://git@{HOST}:22/srv/acme/lib", **ssh},
            {"name": "review", "upstream": f"git@{HOST}:/srv/acme/review", "require_review": True, **ssh},
        ],
        "network": {"external": internet.network},
    }
    folder = tmp_path_factory.mktemp("project")
    with world.bottle(folder, manifest, {"FORGE_TOKEN": TOKEN}, {"root.pem": internet.ca}) as bottle:
        bottle.up()
        bottle.agent(SETUP)
        yield bottle


def push(bottle: world.BottleUnderTest, remote: str, work: str, refs: str = "HEAD:main") -> str:
    """Clone through the gate, do `work` there, push; what git said, ending in PUSHED or REFUSED."""
    script = f"cd $(mktemp -d); git clone -q {remote} . || exit; {work}\ngit push origin {refs} && echo PUSHED || echo REFUSED"
    return bottle.agent(script, timeout=240).strip()


def gate(bottle: world.BottleUnderTest, *argv: str) -> str:
    return world.docker("exec", f"claude-bottle-git-gate-{bottle.name}", *argv).strip()


def mirror_refs(bottle: world.BottleUnderTest, name: str) -> str:
    return gate(bottle, "git", "-C", f"/srv/git/{name}.git", "for-each-ref", "--format=%(objectname) %(refname)")


URLS = {"ssh": f"git@{HOST}:/srv/acme/ssh.git", "https": f"https://{HOST}/acme/https.git"}


@pytest.mark.parametrize("kind", ["ssh", "https"])
def test_a_clean_push_lands_upstream_and_the_mirror_agrees(
    bottle: world.BottleUnderTest, forge: Forge, kind: str
) -> None:
    said = push(
        bottle,
        URLS[kind],
        f"echo {kind} > file; git add -A; git commit -qm clean; git tag -a v1 -m one",
        "HEAD:main v1",
    )
    assert said.endswith("PUSHED"), said
    assert forge.run(f"git -C /srv/acme/{kind}.git show main:file") == kind
    assert "refs/tags/v1" in forge.refs(kind)
    assert mirror_refs(bottle, kind) == forge.refs(kind)


@pytest.mark.parametrize(
    "spelling",
    [
        f"ssh://git@{HOST}/srv/acme/ssh.git", f"ssh://git@{HOST}:22/srv/acme/ssh", f"git@{HOST}:/srv/acme/ssh",
        f"git@{HOST}:srv/acme/ssh.git", f"https://{HOST}/srv/acme/ssh.git", f"https://{HOST}/srv/acme/ssh/",
        "git://git-gate/ssh.git",
    ],
)  # fmt: skip
def test_every_spelling_goes_to_the_gate(bottle: world.BottleUnderTest, forge: Forge, spelling: str) -> None:
    assert bottle.agent(f"git ls-remote {spelling} refs/heads/main").split()[0] in forge.refs("ssh")


SECRETS = {
    "in the tip": f"echo '{LEAK}' > config; git add -A; git commit -qm x",
    "in an older commit, later removed": (
        f"echo '{LEAK}' > config; git add -A; git commit -qm x; git rm -q config; git commit -qm gone"
    ),
    "in a message": f"git commit -q --allow-empty -m 'use {LEAK}'",
    "in a tag": f"git commit -q --allow-empty -m x; git tag -f -a v9 -m '{LEAK}'",
    "in a merge": (
        "git checkout -q -b side; git commit -q --allow-empty -m s; git checkout -q -b other HEAD~1;"
        f" echo o > o; git add -A; git commit -qm o; git merge -q --no-commit side; echo '{LEAK}' > evil;"
        " git add -A; git commit -qm merged"
    ),
    "in a file name": f"echo x > '{LEAK}'; git add -A; git commit -qm x",
    "in a binary file": f"printf '\\000\\001{LEAK}\\000' > blob.bin; git add -A; git commit -qm x",
    "in base64": f"echo 'note {LEAK} and more' | base64 -w0 > note; git add -A; git commit -qm x",
    "in an exempt place": f"echo 'k = \"{LEAK}\" # gitleaks:allow' > go.sum; git add -A; git commit -qm x",
    "with rules of its own": (
        f"printf '[allowlist]\\nregexes=[\"ghp\"]\\n' > .gitleaks.toml; echo '{LEAK}' > a; git add -A; git commit -qm x"
    ),
    "in a gzipped tar": f"mkdir d; echo '{LEAK}' > d/a.txt; tar -czf a.tgz d; rm -r d; git add -A; git commit -qm x",
    "in a 50 MB push": (
        "for n in 1 2 3 4 5; do head -c 10000000 /dev/urandom > big$n; done; echo x > y; git add -A; git commit -qm big;"
        f" echo '{LEAK}' >> y; git add -A; git commit -qm leak; git rm -q y; git commit -qm z"
    ),
}


@pytest.mark.parametrize("where", SECRETS)
def test_a_secret_is_refused_wherever_it_is(bottle: world.BottleUnderTest, forge: Forge, where: str) -> None:
    before = forge.refs("ssh")
    refs = "HEAD:main v9" if where == "in a tag" else "HEAD:main"
    said = push(bottle, URLS["ssh"], SECRETS[where], refs)
    assert said.endswith("REFUSED"), said
    assert "git-gate refused this push; nothing has reached the upstream" in said
    assert "(rule " in said
    assert "REDACTED" in said
    assert LEAK not in said.replace(f"'{LEAK}'", "")
    assert forge.refs("ssh") == before == mirror_refs(bottle, "ssh")
    count = forge.run("git -C /srv/acme/ssh.git count-objects -v | grep -c garbage || true")
    assert count == "2" or count == "1"
    assert "refused" in [d["verdict"] for d in bottle.decisions("git-gate") if d["event"] == "push"][-1:]


def test_a_refusal_says_file_line_commit_and_how_to_rewrite(bottle: world.BottleUnderTest) -> None:
    work = f"printf 'a\\nb\\nkey={LEAK}\\n' > src.py; git add -A; git commit -qm x; git rev-parse HEAD"
    said = push(bottle, URLS["ssh"], work)
    commit = next(word for word in said.split() if len(word) == 40)
    assert f"secret: src.py, line 3, commit {commit[:12]}: REDACTED (rule github-pat)" in said
    assert "git reset --soft" in said


def test_the_advice_is_followed(bottle: world.BottleUnderTest) -> None:
    """A secret on a new branch, two commits ago; what git-gate says is done as it stands there."""
    setup = "git checkout -q -b topic; echo 1 > a; git add -A; git commit -qm clean; git rev-parse HEAD"
    leak = f"echo key={LEAK} > src.py; git add -A; git commit -qm leak; echo 2 > b; git add -A; git commit -qm later"
    follow = (
        "git push origin topic > /tmp/said 2>&1; cat /tmp/said; sed -n 's/^remote:   \\(git .*\\)/\\1/p' /tmp/said"
        " | sed 's/ *$//' > /tmp/advice; export GIT_EDITOR=false; sh -e -c \"$(sed '1a echo key=none > src.py' /tmp/advice)\""
        " 2>&1; git log --format=%s -3"
    )
    said = push(bottle, URLS["ssh"], f"{setup}; {leak}; {follow}", "topic")
    clean = next(word for word in said.split() if len(word) == 40)
    assert f"git reset --soft {clean[:12]}" in said
    assert "--root" not in said
    assert said.endswith("PUSHED"), said


def test_what_the_upstream_has_is_no_news(bottle: world.BottleUnderTest, forge: Forge) -> None:
    """An old key in base64 and in plain text, in a file that is edited and in another one; and a new one beside them."""
    old, new = (
        f"ghp_{body}" for body in ("Q5r6S7t8A1b2C3d4E5f6G7h8J9k0L1m2N3p4", "m2N3p4Q5r6S7t8A1b2C3d4E5f6G7h8J9k0L1")
    )
    forge.repository("old")
    forge.run(
        f"cd $(mktemp -d); git clone -q /srv/acme/old.git .; git config user.name O; git config user.email o@example.com;"
        f" (seq 100; echo 'key = \"{old}\"'; echo 'the key {old} it is' | base64 -w0; seq 100) > config;"
        " git add -A; git commit -qm old; git push -q origin HEAD:main"
    )
    url = f"git@{HOST}:/srv/acme/old.git"
    edit = f"sed -i 's/^100$/hundred/; s/^1$/one/' config; echo 'token: \"{old}\"' > b.yml; git add -A; git commit -qm edit"
    said = push(bottle, url, edit)
    assert said.endswith("PUSHED"), said
    add = f"sed -i 's/^key.*/&\\nkey2 = \"{new}\"/' config; git commit -qam new; git rev-parse HEAD; sed -i 's/^2$/two/' config"
    for _ in range(2):  # what was refused once is not known by that
        said = push(bottle, url, f"{add}; git commit -qam later")
        commit = next(word for word in said.split() if len(word) == 40)
        assert said.count("remote: secret: ") == 1, said
        assert f"secret: config, line 102, commit {commit[:12]}: REDACTED (rule github-pat)" in said
        assert said.endswith("REFUSED"), said
    said = push(bottle, URLS["ssh"], f"echo 'key = \"{old}\"' > config; git add -A; git commit -qm x")
    assert said.endswith("REFUSED"), said
    assert old not in gate(bottle, "sh", "-c", "cat /var/lib/claude-bottle/record/*; ls /dev/shm")


FIRST_BYTES = {
    "a program": f"printf 'MZ=1\\nkey={LEAK}\\n' > build.sh",
    "a PDF": f"printf '%%PDF-1.4\\nkey={LEAK}\\n' > a.txt",
    "RTF": f"printf '{{\\\\rtf1\\nkey={LEAK}\\n' > a.txt",
    "a list of names": f"echo > '!<arch>'; echo > '{LEAK}'",
    "the edge of a chunk": (
        "head -c 99980 /dev/zero | tr '\\0' ' ' > a; "
        f"printf '%s' {LEAK} >> a; head -c 90000 /dev/zero | tr '\\0' ' ' >> a"
    ),
    "a byte before gzip": f"(printf x; echo {LEAK} | gzip) > a",
    "packed five times": f"echo {LEAK} | gzip | gzip | gzip | gzip | gzip > a",
    "base64 over lines": f"(seq 30; echo {LEAK}; seq 30) | base64 > a",
}


@pytest.mark.parametrize("where", FIRST_BYTES)
def test_nothing_switches_the_scan_off(bottle: world.BottleUnderTest, forge: Forge, where: str) -> None:
    before = forge.refs("ssh")
    said = push(bottle, URLS["ssh"], f"{FIRST_BYTES[where]}; git add -A; git commit -qm x")
    assert said.endswith("REFUSED"), said
    assert "(rule github-pat)" in said
    assert forge.refs("ssh") == before


def test_a_tag_does_not_move_without_force(bottle: world.BottleUnderTest, forge: Forge) -> None:
    work = "git tag v1.0; git push -q origin v1.0; git commit -q --allow-empty -m x; git tag -f v1.0"
    said = push(bottle, URLS["https"], work, "--force v1.0")
    assert said.endswith("REFUSED")
    assert "refs/tags/v1.0: it already exists, and the owner does not allow force pushes here" in said
    assert push(bottle, f"git@{HOST}:/srv/acme/lib", "git tag v2", "v2").endswith("REFUSED")  # tags: not by default


def test_push_options_pass_by_name(bottle: world.BottleUnderTest, forge: Forge) -> None:
    work = "echo $RANDOM > o; git add -A; git commit -qm o"
    said = push(bottle, URLS["https"], work, "-o ci.skip HEAD:main")
    assert said.endswith("REFUSED")
    assert "does not support push options" in said
    for options, words in (("-o ci.skipped", "the owner allows ci.skip, note=*"), (f"-o note={LEAK}", "a push option")):
        said = push(bottle, URLS["ssh"], work, f"{options} HEAD:refs/heads/options")
        assert said.endswith("REFUSED")
        assert words in said
    assert "options" not in forge.refs("ssh")


def test_a_small_push_that_is_large_unpacked(bottle: world.BottleUnderTest, forge: Forge) -> None:
    """Forty files of 19 MB that are nearly alike are 72 KB in a pack."""
    before = forge.refs("https")
    many = "head -c 19000000 /dev/zero > f; for n in $(seq 40); do cp f f$n; echo $n >> f$n; done; rm f"
    said = push(bottle, URLS["https"], f"{many}; git add -A; git commit -qm bomb")
    assert said.endswith("REFUSED"), said
    assert "724 MB in all when unpacked, 400 MB are allowed" in said
    said = push(bottle, URLS["https"], "truncate -s 600M f; git add -A; git commit -qm big")
    assert said.endswith("REFUSED"), said
    assert "too large: f: 600 MB, 20 MB are allowed" in said
    assert forge.refs("https") == before
    left = gate(
        bottle, "sh", "-c", "ls -d /dev/shm/scan-* /srv/git/*/objects/tmp_objdir-* 2>/dev/null; du -sm /srv/git"
    )
    assert "scan-" not in left
    assert "tmp_objdir" not in left


def test_a_repository_that_attacks_its_readers_is_refused(bottle: world.BottleUnderTest) -> None:
    """git's fsck, https://git-scm.com/docs/git-fsck: gitmodulesUrl, gitmodulesPath (CVE-2018-11235, CVE-2018-17456)."""
    modules = (
        "printf '[submodule \"x\"]\\n\\tpath = %s\\n\\turl = %s\\n' {} > .gitmodules; git add -A; git commit -qm x"
    )
    for values in ("x -u./payload", "-x https://example.com/x"):
        said = push(bottle, URLS["ssh"], modules.format(values), "HEAD:refs/heads/modules")
        assert said.endswith("REFUSED"), said
        assert "gitmodules" in said


def test_an_accepted_push_has_whole_records(bottle: world.BottleUnderTest, forge: Forge) -> None:
    name = "x" * 200
    script = (
        f"cd $(mktemp -d); git clone -q {URLS['ssh']} .; echo n > many; git add -A; git commit -qm many;"
        f" git push -q origin $(for n in $(seq 300); do echo HEAD:refs/heads/many/{name}$n; done) 2>&1 && echo PUSHED"
    )
    assert bottle.agent(script, timeout=240).strip().endswith("PUSHED")
    records = [record for record in bottle.decisions("git-gate") if record.get("verdict") == "accepted"]
    refs = [ref for record in records for ref in record["refs"] if "/many/" in ref]
    assert sorted(refs) == sorted(f"refs/heads/many/{name}{n}" for n in range(1, 301))
    assert any(record.get("piece", "").startswith("2 of ") for record in records)
    gone = " ".join(f":refs/heads/many/{name}{n}" for n in range(1, 301))
    assert push(bottle, URLS["ssh"], ":", gone).endswith("PUSHED")


def test_a_push_under_review_is_shown_whole_and_passes_once(bottle: world.BottleUnderTest, forge: Forge) -> None:
    url = f"git@{HOST}:/srv/acme/review"
    script = f"rm -rf ~/r; git clone -q {url} ~/r; cd ~/r; seq 40000 > long; printf 'a\\000b' > nul; git add -A; git commit -qm new"
    said = bottle.agent(f"{script}; git push origin HEAD:main 2>&1")
    digest = next(word for word in said.split() if "value=sha256:" in word).rpartition("=")[2]

    def once(*argv: str) -> Any:
        stdout = gate(bottle, "python3", "-m", "claude_bottle.policy.once", "/run/git-gate/once", *argv)
        return json.loads(stdout) if stdout else None

    held = once("held", digest)
    pages = [once("page", digest, str(number))["text"] for number in range(1, held["pages"] + 1)]
    text = "".join(pages)
    assert len(pages) > 3
    assert text.count("\n+") >= 40_001
    assert "+a\\x00b" in text
    refs = "HEAD:main $(for n in $(seq 60); do echo HEAD:refs/heads/r$n; done)"
    assert "61 refs in a push under review, 50 are allowed" in bottle.agent(f"cd ~/r; git push origin {refs} 2>&1 || :")
    once("grant", digest, "p-0123456789")
    assert "PUSHED" in bottle.agent("cd ~/r; git push origin HEAD:main 2>&1 && echo PUSHED")
    assert forge.run("git -C /srv/acme/review.git show main:nul | od -c | head -1").split()[1:] == ["a", "\\0", "b"]


def test_pull_requests_and_notes_are_fetched_and_never_pushed(bottle: world.BottleUnderTest, forge: Forge) -> None:
    path = "/srv/acme/https.git"
    make = "cd $(mktemp -d); git clone -q {path} .; git config user.name O; git config user.email o@example.com; "
    tips = [
        forge.run(
            make.format(path=path)
            + f"echo {number} > offer; git add -A; git commit -qm offer; git push -q origin HEAD:{ref}; git rev-parse HEAD"
        )
        for number, ref in enumerate(("refs/pull/12/head", "refs/notes/commits", "refs/hidden/x"))
    ]
    fetch = f"cd $(mktemp -d); git clone -q {URLS['https']} .; git fetch -q origin {{}} 2>&1; git rev-parse FETCH_HEAD"
    assert bottle.agent(fetch.format("pull/12/head")).strip().endswith(tips[0])
    assert bottle.agent(fetch.format(tips[0])).strip().endswith(tips[0])
    assert bottle.agent(fetch.format("refs/notes/commits")).strip().endswith(tips[1])
    assert f"or note at {tips[2]}" in bottle.agent(fetch.format(tips[2]))
    assert "couldn't find remote ref" in bottle.agent(fetch.format("pull/13/head"))
    before = forge.refs("https")
    said = push(bottle, URLS["https"], "git commit -q --allow-empty -m x", "+HEAD:refs/pull/12/head")
    assert said.endswith("REFUSED"), said
    assert "refs/pull/12/head: is read-only" in said
    assert forge.refs("https") == before
    decisions = [d for d in bottle.decisions("git-gate") if d["event"] == "read-only refs"]
    assert ["refs/pull/12/head"] in [d.get("refs") for d in decisions]
    forge.run(f"for r in refs/pull/12/head refs/notes/commits refs/hidden/x; do git -C {path} update-ref -d $r; done")
    gate(
        bottle,
        "sh",
        "-c",
        "for r in refs/pull/12/head refs/notes/commits; do git -C /srv/git/https.git update-ref -d $r; done",
    )


def test_a_push_for_review_leaves_no_ref(bottle: world.BottleUnderTest, forge: Forge) -> None:
    for message in ("first", "second"):  # this forge keeps the ref; one that takes it as an order does not
        said = push(bottle, URLS["ssh"], f"git commit -q --allow-empty -m {message}", "HEAD:refs/for/main")
        assert said.endswith("PUSHED"), said
        assert "refs/for" not in mirror_refs(bottle, "ssh")
        forge.run("git -C /srv/acme/ssh.git update-ref -d refs/for/main")
    said = push(bottle, URLS["ssh"], "git commit -q --allow-empty -m x", "HEAD:refs/for/main%submit")
    assert said.endswith("REFUSED")
    assert "push option 'submit'" in said


def test_a_redirect_is_followed_to_the_same_repository_alone(bottle: world.BottleUnderTest, forge: Forge) -> None:
    forge.repository("moved")
    moves = {"/acme/moved": "/acme/moved.git", "/acme/renamed.git": "https://echo.example.com/acme/https.git"}
    forge.run("cat > /srv/acme/moves.json", stdin=json.dumps(moves).encode())
    said = push(bottle, f"https://{HOST}/acme/moved", "git commit -q --allow-empty -m x")
    assert said.endswith("PUSHED"), said
    said = bottle.agent(f"git ls-remote https://{HOST}/acme/renamed.git 2>&1 || :")
    assert "it reports its new address https://echo.example.com/acme/https.git" in said
    assert "git[].upstream" in said


def test_what_is_not_declared_says_what_to_do(bottle: world.BottleUnderTest, forge: Forge) -> None:
    said = bottle.agent(
        f"cd $(mktemp -d); git clone git@undeclared.example.com:a/b 2>&1; git clone {HOST}:other 2>&1 || :"
    )
    assert said.count("this bottle allows no ssh") == 2
    assert "cannot run ssh" not in said
    said = bottle.agent("cd $(mktemp -d); git clone https://undeclared.example.com/a/b 2>&1 || :")
    assert "remote: egress: undeclared.example.com is not among the declared routes" in said
    assert "remote: A repository can be reached once the owner declares it under git:" in said
    url = bottle.agent("git ls-remote --get-url git@echo.example.com:a/b.git").strip()
    assert url == "https://echo.example.com/a/b.git"


def test_force_and_delete_follow_the_policy(bottle: world.BottleUnderTest, forge: Forge) -> None:
    rewrite = "git commit -q --amend -m rewritten"
    assert push(bottle, URLS["ssh"], f"{rewrite}; git push -q origin HEAD:refs/heads/extra", "+HEAD:main").endswith(
        "PUSHED"
    )
    assert "rewritten" in forge.run("git -C /srv/acme/ssh.git log --format=%s main")
    assert push(bottle, URLS["ssh"], ":", ":refs/heads/extra").endswith("PUSHED")
    assert "extra" not in forge.refs("ssh")
    lease = push(bottle, URLS["ssh"], "git commit -q --amend -m leased", "--force-with-lease HEAD:main")
    assert lease.endswith("PUSHED"), lease
    for refs, words in (("+HEAD:main", "does not allow force"), (":main", "does not allow deletions")):
        said = push(bottle, URLS["https"], rewrite, refs)
        assert said.endswith("REFUSED")
        assert words in said
    assert mirror_refs(bottle, "https") == forge.refs("https")


def test_branches_sizes_lfs_and_review(bottle: world.BottleUnderTest, forge: Forge) -> None:
    limited, before = f"ssh://git@{HOST}/srv/acme/limited.git", forge.refs("limited")
    commit = "git add -A; git commit -qm x"
    cases = [
        (f"echo 1 > a; {commit}", "HEAD:main", "the owner allows pushes to agent/* only"),
        (f"echo 1 > a; {commit}", "HEAD:agent/ok HEAD:main", "the owner allows pushes to agent/* only"),
        (f"head -c 1500000 /dev/urandom > a; {commit}", "HEAD:agent/x", "too large: a: 1 MB, 1 MB are allowed"),
        (f"for n in a b c d; do head -c 900000 /dev/urandom > $n; done; {commit}",
         "HEAD:agent/x", "MB in one push, 2 MB are allowed"),
        (f"printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:%064d\\nsize 9\\n' 1 > f.mp4; {commit}",
         "HEAD:agent/x", "Git LFS: f.mp4 is a pointer"),
    ]  # fmt: skip
    for work, refs, words in cases:
        said = push(bottle, limited, work, refs)
        assert said.endswith("REFUSED"), said
        assert words in said
        assert forge.refs("limited") == before == mirror_refs(bottle, "limited")
    assert push(bottle, limited, f"echo 1 > a; {commit}", "HEAD:agent/ok").endswith("PUSHED")
    assert "the owner reviews every push to review first" in push(
        bottle, f"git@{HOST}:/srv/acme/review", f"echo 1 > a; {commit}"
    )


def test_the_upstreams_own_hook_has_the_last_word(bottle: world.BottleUnderTest, forge: Forge) -> None:
    hook = "/srv/acme/https.git/hooks/pre-receive"
    forge.run(f"printf '#!/bin/sh\\necho the forge says no >&2\\nexit 1\\n' > {hook}; chmod +x {hook}")
    before = forge.refs("https")
    try:
        said = push(bottle, URLS["https"], "echo n > n; git add -A; git commit -qm n")
    finally:
        forge.run(f"rm {hook}")
    assert said.endswith("REFUSED")
    assert "the forge says no" in said
    assert forge.refs("https") == before == mirror_refs(bottle, "https")


def test_one_of_two_wins_and_push_options_arrive(bottle: world.BottleUnderTest, forge: Forge) -> None:
    script = (
        "cd $(mktemp -d); git clone -q {url} a; cp -r a b; for d in a b; do (cd $d; echo $d > $d; git add -A; git commit -qm $d;"
        " git push -o ci.skip origin HEAD:main >../$d.log 2>&1 && echo won || echo lost) & done; wait; cat a.log b.log"
    )
    hook = "/srv/acme/ssh.git/hooks/post-receive"
    forge.run(f"printf '#!/bin/sh\\necho $GIT_PUSH_OPTION_0 > /srv/acme/option\\n' > {hook}; chmod +x {hook}")
    said = bottle.agent(script.format(url=URLS["ssh"]))
    forge.run(f"rm {hook}")
    assert sorted(word for word in said.split() if word in ("won", "lost")) == ["lost", "won"]
    assert "non-fast-forward" in said or "fetch first" in said
    assert forge.run("cat /srv/acme/option") == "ci.skip"
    assert mirror_refs(bottle, "ssh") == forge.refs("ssh")


def test_clones_of_every_kind_and_submodules(bottle: world.BottleUnderTest, forge: Forge) -> None:
    for option in ("--depth 1", "--filter=blob:none", "--single-branch", "--mirror", "--filter=tree:0"):
        said = bottle.agent(f"cd $(mktemp -d); git clone -q {option} {URLS['ssh']} c && git -C c log -1 --format=%H")
        assert len(said.strip()) == 40, (option, said)
    add = f"git submodule --quiet add git@{HOST}:/srv/acme/lib.git lib; git commit -qm sub"
    assert push(bottle, URLS["ssh"], add).endswith("PUSHED")
    said = bottle.agent(f"cd $(mktemp -d); git clone -q --recurse-submodules {URLS['ssh']} c; cat c/lib/README")
    assert "hello" in said


def test_a_burst_of_clones_shares_a_refresh(bottle: world.BottleUnderTest, forge: Forge) -> None:
    before = len(bottle.decisions("git-gate"))
    asked = "/acme/https.git/info/refs?service=git-upload-pack"  # once for each time that the gate looks
    seen = forge.log().count(asked)
    one = f"git clone -q {URLS['https']} $(mktemp -d)/c && echo OK"
    said = bottle.agent(f"for n in 1 2 3 4 5 6 7 8; do ({one}) & done; wait", timeout=120)
    assert said.split().count("OK") == 8
    assert len(bottle.decisions("git-gate")) == before + 8
    assert 1 <= forge.log().count(asked) - seen < 8


def test_an_upstream_that_is_down(bottle: world.BottleUnderTest, forge: Forge, internet: world.Internet) -> None:
    world.docker("network", "disconnect", internet.network, forge.container)
    try:
        said = bottle.agent(f"cd $(mktemp -d); git clone {URLS['ssh']} c && cat c/README", timeout=120)
        assert "the upstream does not answer" in said
        assert "serving what was fetched" in said
        assert "hello" in said
        said = bottle.agent("cd $(mktemp -d); git init -q; git commit -q --allow-empty -m x; "
                            f"git push {URLS['ssh']} HEAD:refs/heads/y || echo REFUSED", timeout=120)  # fmt: skip
        assert "git-gate cannot push now" in said
        assert said.strip().endswith("REFUSED")
    finally:
        world.docker("network", "connect", "--alias", HOST, internet.network, forge.container)
    assert push(bottle, URLS["ssh"], "echo b > back; git add -A; git commit -qm back").endswith("PUSHED")


def test_a_host_that_is_not_the_pinned_one_gets_nothing(bottle: world.BottleUnderTest, forge: Forge) -> None:
    key = "/etc/ssh/ssh_host_ed25519_key"
    shown = f"ssh-keyscan -t ed25519 127.0.0.1 2>/dev/null | grep -qF \"$(ssh-keygen -y -f {key} | cut -d' ' -f2)\""
    restart = f"kill -HUP $(cat /run/sshd.pid); for _ in $(seq 300); do {shown} && break; sleep 0.1; done"
    forge.run(f"cp {key} /root/kept; rm {key}; ssh-keygen -q -t ed25519 -N '' -f {key}; {restart}", user="0")
    try:
        said = push(bottle, URLS["ssh"], "echo m > m; git add -A; git commit -qm m")
        assert said.endswith("REFUSED")
        assert "git-gate cannot push now" in said
        assert "Host key verification failed" in said
    finally:
        forge.run(f"cp /root/kept {key}; chmod 600 {key}; {restart}", user="0")


def test_there_is_no_way_round_the_gate(bottle: world.BottleUnderTest, forge: Forge) -> None:
    before = forge.refs("https")
    plain = "git -c include.path=/dev/null"
    make = "export GIT_CONFIG_GLOBAL=/dev/null; cd $(mktemp -d); git init -q; git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x;"
    tries = [
        f"{make} {plain} push https://{HOST}/acme/https.git HEAD:refs/heads/round",
        f"{make} {plain} push ssh://git@{HOST}/srv/acme/ssh.git HEAD:refs/heads/round",
        f"{make} {plain} push git://git-gate/undeclared.git HEAD:refs/heads/round",
        f"{make} {plain} push git://git-gate/../../etc HEAD:refs/heads/round",
        f"{make} {plain} -c core.gitProxy='curl -p -x egress:8080' push git://{HOST}/acme/https.git HEAD:refs/heads/round",
    ]
    for script in tries:
        assert "round" not in bottle.agent(f"{script} >/dev/null 2>&1; echo done", timeout=60)
    assert forge.refs("https") == before
    assert "round" not in forge.refs("ssh")
    status, body = bottle.curl(f"https://{HOST}/acme/https.git/info/refs?service=git-receive-pack")
    assert status == 403
    assert "git-gate" in body


def test_the_agent_cannot_read_the_key_or_change_the_gate(bottle: world.BottleUnderTest, forge: Forge) -> None:
    key = forge.key.read_text().splitlines()[2]
    for secret in (key, TOKEN):
        stdout = bottle.agent(
            f"grep -rl --exclude-dir=proc --exclude-dir=sys -e '{secret}' / 2>/dev/null; env", user="0"
        )
        assert secret not in stdout
        assert "/etc/git-gate" not in stdout
        for role in ("agent", "egress", "pipelock"):
            assert secret not in world.docker("inspect", f"claude-bottle-{role}-{bottle.name}")
        name = f"claude-bottle-git-gate-{bottle.name}"
        assert secret not in world.docker("inspect", name) + world.docker("logs", name)
        kept = [p.read_text(errors="replace") for p in (bottle.folder / "state").rglob("*") if p.is_file()]
        assert not any(secret in text for text in kept)
        assert secret not in json.dumps(bottle.stack.outputs()["plan"].value)
    config = gate(bottle, "cat", "/srv/git/ssh.git/config")
    hooks = gate(bottle, "sh", "-c", "cat /app/hooks/* /etc/gitconfig | sha256sum")
    for attempt in (
        "git archive --remote=git://git-gate/ssh.git HEAD",
        "git push git://git-gate/ssh.git HEAD:config HEAD:hooks/pre-receive HEAD:../config",
        "git ls-remote git://git-gate/ssh.git/hooks; git ls-remote git://git-gate/; git ls-remote git://git-gate/ssh.git/../ssh.git",
        "printf '0034git-upload-pack /../../etc/git-gate\\0host=git-gate\\0' | timeout 3 bash -c 'exec 3<>/dev/tcp/git-gate/9418; cat >&3; cat <&3'",
    ):
        said = bottle.agent(f"cd $(mktemp -d); git init -q; git commit -q --allow-empty -m x; {attempt}", timeout=60)
        assert "PRIVATE" not in said
    assert gate(bottle, "cat", "/srv/git/ssh.git/config") == config
    assert gate(bottle, "sh", "-c", "cat /app/hooks/* /etc/gitconfig | sha256sum") == hooks
    # Not on the outside network, where other bottles and the host are.
    listening = gate(bottle, "cat", "/proc/net/tcp").split()
    doors = [word for word in listening if word.endswith(":24CA")]
    assert len(doors) >= 1
    assert not [door for door in doors if door.startswith("00000000")]
    networks = json.loads(world.docker("inspect", f"claude-bottle-git-gate-{bottle.name}"))[0]["NetworkSettings"][
        "Networks"
    ]
    outside = next(n["IPAddress"] for name, n in networks.items() if "-network-agent-" not in name)
    with pytest.raises(AssertionError):
        forge.run(f"timeout 3 bash -c 'exec 3<>/dev/tcp/{outside}/9418'")


def test_a_gate_killed_in_the_middle_of_a_push_loses_nothing(bottle: world.BottleUnderTest, forge: Forge) -> None:
    container = f"claude-bottle-git-gate-{bottle.name}"
    chance = random.Random(7)
    for attempt in range(10):
        ref = f"refs/heads/kill{attempt}"
        work = (
            f"for n in 1 2 3 4 5 6; do head -c 300000 /dev/urandom > f$n; git add -A; git commit -qm {attempt}-$n; done"
        )
        script = f"cd $(mktemp -d); git clone -q {URLS['ssh']} .; {work}; touch /tmp/ready{attempt}; git push origin HEAD:{ref}"
        argv = ["docker", "exec", "-u", "node", f"claude-bottle-agent-{bottle.name}", "bash", "-c", script]
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as pushing:
            while pushing.poll() is None and "yes" not in bottle.agent(f"test -e /tmp/ready{attempt} && echo yes"):
                time.sleep(0.02)
            time.sleep(chance.uniform(0, 1.2))
            world.docker("kill", container)
            world.docker("start", container)
            pushing.wait(400)
        again = ""
        for _ in range(160):
            with contextlib.suppress(subprocess.TimeoutExpired):
                again = bottle.agent(f"git ls-remote {URLS['ssh']}", timeout=30)
            if "refs/heads/main" in again:
                break
            time.sleep(0.5)
        assert "refs/heads/main" in again
        assert mirror_refs(bottle, "ssh") == forge.refs("ssh")
        upstream = forge.run("git -C /srv/acme/ssh.git fsck --connectivity-only --no-dangling 2>&1")
        assert "missing" not in upstream
        assert "missing" not in gate(
            bottle, "git", "-C", "/srv/git/ssh.git", "fsck", "--connectivity-only", "--no-dangling"
        )
    assert push(bottle, URLS["ssh"], "echo after > after; git add -A; git commit -qm after").endswith("PUSHED")
    assert mirror_refs(bottle, "ssh") == forge.refs("ssh")


def test_a_sha_256_repository_works(bottle: world.BottleUnderTest, forge: Forge) -> None:
    forge.run("rm -rf /srv/acme/lib.git")
    forge.repository("lib", "--object-format=sha256")
    gate(bottle, "sh", "-c", "rm -rf /srv/git/lib.git")
    world.docker("restart", f"claude-bottle-git-gate-{bottle.name}")
    bottle.up()
    lib = f"ssh://git@{HOST}:22/srv/acme/lib"
    said = push(bottle, lib, "echo 1 > a; git add -A; git commit -qm x")
    assert said.endswith("PUSHED"), said
    assert len(forge.run("git -C /srv/acme/lib.git rev-parse main")) == 64
    assert push(bottle, lib, f"echo {LEAK} > b; git add -A; git commit -qm x").endswith("REFUSED")
