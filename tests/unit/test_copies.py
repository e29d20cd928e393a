"""What gets from the host into the agent, what is refused, and how two changed sides are brought together."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from components.agent_files import BaseRecord, is_plain
from components.copies import Reader
from components.git_folder import git_files, git_problems
from components.host_folder import all_files, digest, items, workspace_files, write_tar
from components.manifest import Manifest
from components.pull import _inside, _place
from components.three_way import new_base, three_way


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with one skill and one project, both in order."""
    skill = tmp_path / "home/.claude/skills/review"
    skill.mkdir(parents=True)
    (skill / "SKILL.md").write_text("---\nname: review\n---\n")
    (tmp_path / "home/project/sub").mkdir(parents=True)
    (tmp_path / "home/project/a.txt").write_text("a")
    (tmp_path / "home/project/sub/b.txt").write_text("b")
    (tmp_path / "stacks").mkdir()
    return tmp_path / "home"


def git(folder: Path, *argv: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", "-C", str(folder), *identity, *argv], check=True, capture_output=True)


def read(home: Path, raw: dict[str, Any], token: bytes = b"") -> tuple[Any, dict[str, str]]:
    reader = Reader(home.parent / "stacks", lambda data: bool(token) and token in data, home)
    copies = reader.read(Manifest.model_validate(raw))
    return copies, {finding.path: str(finding) for finding in reader.findings}


def test_what_is_named_is_read(home: Path) -> None:
    (home.parent / "stacks/prompt.md").write_text("Be brief.")
    raw = {"prompt": {"file": "prompt.md"}, "skills": ["review"], "workspace": {"path": "~/project"}}
    copies, findings = read(home, raw)
    assert findings == {}
    assert copies.prompt == "Be brief.\n"
    assert [skill.name for skill in copies.skills] == ["review"]
    assert (copies.workspace.files, copies.workspace.mode) == (2, "copy")


def test_the_digest_follows_content_names_and_modes(home: Path) -> None:
    folder = home / "project"

    def now() -> str:
        return digest(items(folder, all_files(folder)))

    seen = {now()}
    (folder / "a.txt").write_text("other")
    seen.add(now())
    (folder / "a.txt").chmod(0o755)
    seen.add(now())
    (folder / "a.txt").rename(folder / "c.txt")
    seen.add(now())
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("raw", "path", "words"),
    [
        ({"prompt": {"file": "none.md"}}, "prompt.file", "No such file"),
        ({"prompt": "  "}, "prompt.text", "1 to"),
        ({"prompt": "use tok-12345678"}, "prompt.text", "holds the value of one of the bottle's tokens"),
        ({"skills": ["nope"]}, "skills[0]", "no such folder"),
        ({"skills": ["~/project"]}, "skills[0]", "no SKILL.md"),
        ({"skills": ["review", "~/.claude/skills/review"]}, "skills", "two folders of this name"),
        ({"workspace": {"path": "~/none"}}, "workspace.path", "no such folder"),
        ({"workspace": {"path": "~"}}, "workspace.path", "name the project's own folder"),
        ({"workspace": {"path": "/"}}, "workspace.path", "name the project's own folder"),
        ({"workspace": {"path": "/etc"}}, "workspace.path", "no agent should have"),
        ({"workspace": {"path": "~/.ssh"}}, "workspace.path", "~/.ssh"),
        ({"workspace": {"path": "../stacks", "mode": "mount"}}, "workspace.path", "could change its bottle"),
        ({"workspace": {"path": "~/project", "copy_git": True}}, "workspace.copy_git", "no .git"),
    ],
)
def test_what_cannot_be_copied_is_told(home: Path, raw: dict[str, Any], path: str, words: str) -> None:
    (home / ".ssh").mkdir()
    _, findings = read(home, raw, b"tok-12345678")
    assert list(findings) == [path]
    assert words in findings[path] or ".ssh" in findings[path]


def test_a_skill_with_a_link_that_leaves_is_refused_and_one_that_stays_is_not(home: Path) -> None:
    skill = home / ".claude/skills/review"
    (skill / "inside.md").symlink_to("SKILL.md")
    assert read(home, {"skills": ["review"]})[1] == {}
    for target in ("/etc/passwd", "../../../project/a.txt", str(skill / "SKILL.md")):
        (skill / "out.md").symlink_to(target)
        assert "link that leaves" in read(home, {"skills": ["review"]})[1]["skills[0]"]
        (skill / "out.md").unlink()
    os.mkfifo(skill / "pipe")
    assert "neither a file nor a link" in read(home, {"skills": ["review"]})[1]["skills[0]"]


def test_a_token_of_the_bottle_is_not_copied(home: Path) -> None:
    (home / "project/notes").write_text("key: tok-12345678")
    assert "holds the value" in read(home, {"workspace": {"path": "~/project"}}, b"tok-12345678")[1]["workspace.path"]


def test_ignored_files_stay_at_home(home: Path) -> None:
    project = home / "project"
    git(project, "init", "-q")
    (project / ".gitignore").write_text(".env\n")
    (project / ".env").write_text("secret")
    inner = project / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "c.txt").write_text("c")
    assert workspace_files(project) == [".gitignore", "a.txt", "inner/c.txt", "sub/b.txt"]


def test_git_is_copied_without_hooks_locks_and_credentials(home: Path) -> None:
    project = home / "project"
    git(project, "init", "-q")
    git(project, "remote", "add", "origin", "git@git.example.com:acme/p.git")
    (project / ".git/hooks/post-checkout").write_text("#!/bin/sh")
    (project / ".git/index.lock").write_text("")
    assert list(git_problems(project)) == []
    names = git_files(project)
    assert "config" in names
    assert not [name for name in names if name.startswith("hooks") or name.endswith(".lock")]
    for key, value in (
        ("remote.origin.url", "https://me:word@git.example.com/p.git"),
        ("remote.origin.url", "https://a-token@git.example.com/p.git"),
        ("remote.origin.url", "ssh://git:word@git.example.com/p.git"),
        ("url.https://a-token@git.example.com/.insteadOf", "gh:"),
        ("http.https://git.example.com/.extraheader", "Authorization: basic abc"),
    ):
        git(project, "config", key, value)
        told = list(git_problems(project))
        assert len(told) == 1
        assert "credential" in told[0]
        assert "a-token" not in told[0]
        assert "word" not in told[0]
        git(project, "config", "--unset", key)
    (project / ".git/objects/info").mkdir(exist_ok=True)
    (project / ".git/objects/info/alternates").write_text("/elsewhere")
    assert "borrows objects" in next(iter(git_problems(project)))


def test_the_tar_belongs_to_the_agent(home: Path) -> None:
    folder = home / "project"
    (folder / "run").write_text("#!/bin/sh")
    (folder / "run").chmod(0o700)
    (folder / "link").symlink_to("a.txt")
    os.link(folder / "a.txt", folder / "twin")
    out = io.BytesIO()
    write_tar(out, folder, all_files(folder))
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        members = {member.name: member for member in tar}
        assert {(m.uid, m.gid) for m in members.values()} == {(1000, 1000)}
        assert members["run"].mode == 0o755
        assert members["link"].linkname == "a.txt"
        assert tar.extractfile("twin").read() == b"a"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("base", "source", "target", "copy", "delete", "conflicts"),
    [
        ({}, {"n": "1"}, {}, ["n"], [], []),
        ({"n": "1"}, {"n": "1"}, {}, [], [], []),  # removed over there: it stays removed
        ({"n": "1"}, {"n": "2"}, {"n": "1"}, ["n"], [], []),
        ({"n": "1"}, {"n": "1"}, {"n": "2"}, [], [], []),
        ({"n": "1"}, {"n": "2"}, {"n": "3"}, [], [], ["n"]),
        ({"n": "1"}, {"n": "2"}, {"n": "2"}, [], [], []),
        ({}, {"n": "1"}, {"n": "2"}, [], [], ["n"]),  # nothing is known: what differs is not overwritten
        ({"n": "1"}, {}, {"n": "1"}, [], ["n"], []),
        ({"n": "1"}, {}, {"n": "2"}, [], [], ["n"]),
        ({"n": "1"}, {"n": "2"}, {}, [], [], ["n"]),
    ],
)
def test_only_what_changed_on_one_side_moves(
    base: Any, source: Any, target: Any, copy: Any, delete: Any, conflicts: Any
) -> None:
    changes = three_way(base, source, target)
    assert (changes.copy, changes.delete, changes.conflicts) == (copy, delete, conflicts)
    after = {**target, **{path: source[path] for path in copy}}
    for path in delete:
        after.pop(path)
    again = three_way(new_base(base, source, target, changes), source, after)
    assert again.copy == again.delete == []
    assert again.conflicts == conflicts


def test_names_from_the_agent_that_lead_elsewhere_are_not_used(tmp_path: Path) -> None:
    for name in ("../a", "/a", "a/../../b", ".git/config", "sub/.GIT/hooks/x", "git~1/x", ".git./x", "", "a//b", "./a"):
        assert not is_plain(name), name
    assert is_plain("a/.gitignore")
    (tmp_path / "link").symlink_to("/tmp")
    assert not _inside(tmp_path, "link/a")


def test_a_link_from_the_agent_that_leaves_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    member = tarfile.TarInfo("evil")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(fileobj=io.BytesIO(), mode="w") as tar:
        _place(tmp_path, member, tar)
    assert list(tmp_path.iterdir()) == []
    assert "leaves the workspace" in capsys.readouterr().err


def test_a_name_from_the_agent_draws_nothing_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    member = tarfile.TarInfo("evil\x1b[2J")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(fileobj=io.BytesIO(), mode="w") as tar:
        _place(tmp_path, member, tar)
    assert "\x1b" not in capsys.readouterr().err


def test_what_was_common_is_forgotten_with_the_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    record = BaseRecord("s")
    assert record.read("then") == {}
    record.write("then", {"a": "1"})
    assert record.read("then") == {"a": "1"}
    assert record.read("later") == {}
