"""What gets from the host into the agent, what is refused, and how two changed sides are brought together."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from claude_bottle.host.bounded import run_bounded
from claude_bottle.manifest.model import Manifest
from claude_bottle.policy.errors import BottleError
from claude_bottle.workspace import pull
from claude_bottle.workspace.agent_files import AgentFiles, BaseRecord
from claude_bottle.workspace.bundle import bring
from claude_bottle.workspace.copies import Reader
from claude_bottle.workspace.git_folder import git_configs, git_files, git_problems
from claude_bottle.workspace.git_mounts import GitPlaces, folders_above, git_places
from claude_bottle.workspace.host_folder import all_files, digest, items, workspace_files, write_tar
from claude_bottle.workspace.hostile_tar import members
from claude_bottle.workspace.incoming import is_plain, left_out
from claude_bottle.workspace.placing import Placing
from claude_bottle.workspace.three_way import new_base, three_way


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
    reader = Reader(home.parent / "stacks", [token] if token else [], home)
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
        ({"skills": ["review", "~/.claude/skills/review"]}, "skills", "two skills have this name"),
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
    assert "HEAD" in names
    assert not [name for name in names if name.startswith("hooks") or name.endswith(".lock")]
    for key, value in (
        ("remote.origin.url", "https://me:word@git.example.com/p.git"),
        ("remote.origin.url", "https://a-token@git.example.com/p.git"),
        ("remote.origin.url", "ssh://git:word@git.example.com/p.git"),
        ("url.https://a-token@git.example.com/.insteadOf", "gh:"),
        ("http.https://git.example.com/.extraheader", "Authorization: basic abc"),
        ("remote.origin.url", "https::https://me:word@git.example.com/p"),
        ("remote.origin.url", "http::http://a-token@git.example.com/p"),
        ("remote.origin.url", "ftp://a-token@git.example.com/p"),
        ("remote.origin.url", "https://git.example.com/p.git?private_token=word"),
        ("remote.origin.url", "ext::curl -u me:word https://git.example.com"),
        ("remote.origin.url", "https://me:a[b@git.example.com/x.git"),
        ("branch.main.remote", "https://me:word@git.example.com/p"),
    ):
        git(project, "config", key, value)
        problems = list(git_problems(project))
        assert len(problems) == 1
        assert "credential" in problems[0]
        assert "a-token" not in problems[0]
        assert "word" not in problems[0]
        git(project, "config", "--unset", key)
    (project / ".git/objects/info").mkdir(exist_ok=True)
    (project / ".git/objects/info/alternates").write_text("/elsewhere")
    assert "borrows objects" in next(iter(git_problems(project)))


def test_the_agents_git_is_made_of_what_it_needs(home: Path, tmp_path: Path) -> None:
    """git-config(1), gitrepository-layout(5), git-credential-store(1), git-send-email(1)."""
    project = home / "project"
    git(project, "init", "-q", "-b", "main")
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "one")
    git(project, "remote", "add", "origin", "git@git.example.com:acme/p.git")
    secret = {
        "sendemail.smtpPass": "word", "github.token": "word", "include.path": "../secret", "core.fsmonitor": "run",
        "core.sshCommand": "run", "filter.x.clean": "run", "credential.helper": "run", "submodule.x.update": "!run",
        "alias.x": "!run", "http.proxy": "word", "diff.external": "run", "includeIf.gitdir:/.path": "x",
    }  # fmt: skip
    for key, value in secret.items():
        git(project, "config", key, value)
    for name in (
        "credentials",
        "config.worktree",
        "cookies",
        "hooks/x",
        "lfs/cache",
        "logs/HEAD",
        "objects/tmp_obj_x",
        "gc.log",
    ):
        (project / ".git" / name).parent.mkdir(parents=True, exist_ok=True)
        (project / ".git" / name).write_text("word")
    (project / ".git/refs/heads/link").symlink_to("/etc/passwd")
    git_dir = tmp_path / "made"
    git_dir.mkdir()
    left = git_configs(project, git_dir)
    assert {key.lower() for key in secret} == {key.lower() for key in left}
    names = git_files(project)
    for name in names:
        (git_dir / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(project / ".git" / name, git_dir / name)
    assert not [file for file in git_dir.rglob("*") if file.is_file() and b"word" in file.read_bytes()]
    (git_dir / "refs").mkdir(exist_ok=True)
    run = ["git", f"--git-dir={git_dir}", f"--work-tree={project}"]
    assert subprocess.run([*run, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout == ""
    assert subprocess.run([*run, "fsck"], capture_output=True, check=False).returncode == 0
    assert (
        "git.example.com" in subprocess.run([*run, "remote", "-v"], capture_output=True, text=True, check=True).stdout
    )


def test_a_token_in_the_history_is_not_copied(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    project = home / "project"
    git(project, "init", "-q", "-b", "main")
    (project / "old").write_text("key=the-bottles-own-token")
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "one")
    (project / "old").unlink()
    git(project, "commit", "-q", "-a", "-m", "two")
    git(project, "gc", "-q")
    raw = {"workspace": {"path": "~/project", "copy_git": True}}
    for _ in range(2):
        assert "one of the bottle's tokens" in read(home, raw, b"the-bottles-own-token")[1]["workspace.copy_git"]
        assert read(home, raw, b"another-token")[1] == {}
    git(project, "commit", "-q", "--allow-empty", "-m", "another-token")
    assert "one of the bottle's tokens" in read(home, raw, b"another-token")[1]["workspace.copy_git"]


@pytest.mark.parametrize(
    "url",
    ["https://git.example.com/acme/p.git", "https://git.example.com:8443/p", "git@git.example.com:acme/p.git", "/srv/p.git",
     "ssh://git@git.example.com:2222/acme/p", "git.example.com:p", "../sibling.git", "git://git.example.com/p",
     "file:///srv/p.git", "me@192.0.2.1:p", "https://[2001:db8::1]/p"],
)  # fmt: skip
def test_ordinary_urls_of_remotes_are_copied(home: Path, url: str) -> None:
    """git-clone(1), GIT URLS."""
    git(home / "project", "init", "-q")
    git(home / "project", "config", "remote.origin.url", url)
    assert list(git_problems(home / "project")) == []


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
    assert not Placing(tmp_path).inside("link/a")


def test_every_git_of_a_mount_is_found(home: Path) -> None:
    project, lib = home / "project", home / "lib"
    lib.mkdir()
    for folder in (lib, project):
        git(folder, "init", "-q", "-b", "main")
        git(folder, "commit", "-q", "--allow-empty", "-m", "one")
    assert git_places(project) == GitPlaces((".git",), ())
    for name in ("one", "gone"):
        git(project, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(lib), name)
    git(project, "submodule", "deinit", "-q", "-f", "gone")
    shutil.rmtree(project / "gone")
    git(project, "worktree", "add", "-q", "tree")
    git(project, "clone", "-q", "--bare", str(lib), "mirror")
    (project / "elsewhere").mkdir()
    git(project, "init", "-q", "--separate-git-dir", str(project / "elsewhere/kept"), "apart")
    assert git_places(project) == GitPlaces(
        (".git", "apart/.git", "elsewhere/kept", "mirror", "one/.git", "tree/.git"), ("gone/.git",)
    )
    (project / "gone/.git").mkdir(parents=True)  # as `up` makes it
    assert git_places(project).missing == ("gone/.git",)
    assert folders_above(("a/b/.git", ".git", "c/.git")) == ["a", "a/b", "c"]
    (home / "plain").mkdir()
    assert "no repository at its top" in git_places(home / "plain").wrong
    (home / "plain/.git").mkdir()
    assert "no repository at its top" in git_places(home / "plain").wrong
    (home / "plain/.git").rmdir()
    (home / "plain/.git").symlink_to(project / ".git")
    assert "is a link" in git_places(home / "plain").wrong


def test_what_the_owners_config_names_in_a_mount_is_found(home: Path) -> None:
    """git-config(1): include.path, includeIf, core.hooksPath."""
    project = home / "project"
    git(project, "init", "-q", "-b", "main")
    git(project, "config", "include.path", "../.gitconfig")
    assert "refers to .gitconfig, which the agent could create" in git_places(project).wrong
    (project / ".gitconfig").write_text('[includeIf "onbranch:main"]\n\tpath = conf/more\n')
    assert "refers to conf/more" in git_places(project).wrong
    (project / "conf").mkdir()
    (project / "conf/more").write_text("[core]\n\thooksPath = hooks\n")
    (project / "hooks").mkdir()
    assert git_places(project).present == (".git", ".gitconfig", "conf/more", "hooks")
    git(project, "config", "--replace-all", "include.path", str(home / "outside"))
    assert git_places(project).present == (".git",)


class Agent:
    """A workspace of an agent, which is a folder here."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def home_identity(self) -> str:
        return "home"

    def list_workspace(self) -> list[str]:
        return [name for name in all_files(self.root) if is_plain(name)]

    @contextlib.contextmanager
    def workspace_tar(self, names: Iterable[str]) -> Iterator[Any]:
        names, out = list(names), io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name in names:
                if os.path.lexists(self.root / name):
                    tar.add(self.root / name, name, recursive=False)
        out.seek(0)
        yield members(out, names)

    def workspace_marks(self, names: Iterable[str]) -> dict[str, str]:
        files = [name for name in names if (self.root / name).is_symlink() or (self.root / name).is_file()]
        return {item.path: item.mark for item in items(self.root, files)}

    def run(self, script: str) -> bytes:
        return b""

    def run_into(self, script: str, out: IO[bytes]) -> None:
        if (self.root / ".git").exists():
            argv = ["git", "-C", str(self.root), "bundle", "create", "-q", "-", "--branches"]
            out.write(subprocess.run(argv, capture_output=True, check=True).stdout)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Agent:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for folder in ("agent", "host"):
        (tmp_path / folder).mkdir()
    fake = Agent(tmp_path / "agent")
    monkeypatch.setattr(pull, "AgentFiles", lambda _: fake)
    return fake


def pulled(tmp_path: Path, **options: Any) -> str:
    plan = {"stack": "s", "workspace": {"mode": "copy", "source": str(tmp_path / "host")}}
    return "\n".join(pull.Pull(plan, "agent", **options).run())


@pytest.mark.parametrize("folder", ["docs", "a/b", "."])
@pytest.mark.parametrize("kind", ["plain", "commondir", "links", "objects on the host"])
def test_a_repository_in_disguise_does_not_come_back(agent: Agent, tmp_path: Path, folder: str, kind: str) -> None:
    """git's setup.c, is_git_directory; git-config(1), safe.bareRepository: a layout is a repository, whatever its name."""
    source, here = agent.root / folder, tmp_path / "host" / folder
    for directory in (source, here):
        directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "init", "-q", "--bare", "."], cwd=source, check=True)
    for key, value in {"bare": "false", "worktree": str(here), "fsmonitor": f"touch {tmp_path}/ran; false"}.items():
        subprocess.run(["git", "config", "--file", "config", f"core.{key}", value], cwd=source, check=True)
    (source / "refs/heads/x").write_text("0" * 40)
    (source / "objects/info/x").write_text("x")
    if kind == "commondir":
        (source / "common").mkdir()
        for name in ("objects", "refs", "config"):
            (source / name).rename(source / "common" / name)
        (source / "commondir").write_text("common")
    elif kind == "links":
        for name in ("objects", "refs"):
            (source / name).rename(source / f"real-{name}")
            (source / name).symlink_to(f"real-{name}")
    elif kind == "objects on the host":
        for name in ("objects", "refs"):
            shutil.rmtree(source / name)
            (here / name).mkdir(parents=True)
    (agent.root / "README").write_text("honest")

    def owner_looks() -> bool:
        env = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path)}
        subprocess.run(["git", "status"], cwd=here, env=env, capture_output=True, check=False)
        return (tmp_path / "ran").exists()

    said = pulled(tmp_path)
    assert not owner_looks()
    assert (tmp_path / "host/README").read_text() == "honest"
    assert "HEAD: part of a git repository" in said
    if kind == "commondir":  # git takes no work tree from there, but other keys of its config
        return
    # It is the layout that is judged: with it in place, the same look runs what its config names.
    for name in all_files(source):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(here / name):
            shutil.copy(source / name, here / name, follow_symlinks=False)
    (here / "refs").mkdir(exist_ok=True)
    assert owner_looks()


def test_commits_come_and_what_attacks_their_reader_does_not(agent: Agent, tmp_path: Path) -> None:
    """git-fsck(1), gitmodulesPath and gitmodulesUrl (CVE-2018-17456): git 2.39 does not look at what a bundle brings."""
    host = tmp_path / "host"
    for folder in (agent.root, host):
        git(folder, "init", "-q", "-b", "main")
    git(host, "commit", "-q", "--allow-empty", "-m", "the owner's")
    (agent.root / "a").write_text("x")
    git(agent.root, "add", "-A")
    git(agent.root, "commit", "-q", "-m", "honest")
    git(agent.root, "branch", "topic/one")
    assert "git merge bottle-s/main" in pulled(tmp_path)
    log = ["git", "-C", str(host), "log", "--format=%s", "refs/remotes/bottle-s/topic/one"]
    assert subprocess.run(log, capture_output=True, text=True, check=True).stdout == "honest\n"
    before = sorted(path.name for path in (host / ".git/objects/pack").iterdir())
    (agent.root / ".gitmodules").write_text('[submodule "x"]\n\tpath = -u./payload\n\turl = -u./payload\n')
    git(agent.root, "add", "-A")
    git(agent.root, "commit", "-q", "-m", "attack")
    said = pulled(tmp_path)
    assert "commits were not fetched" in said
    assert "gitmodules" in said
    assert subprocess.run(log, capture_output=True, text=True, check=True).stdout == "honest\n"
    assert [n for n in sorted(path.name for path in (host / ".git/objects/pack").iterdir()) if n.endswith("pack")] == [
        n for n in before if n.endswith("pack")
    ]


@pytest.mark.parametrize(
    "header",
    [b"", b"x\n", b"# v2 git bundle\n-" + b"0" * 40 + b"\n\n", b"# v2 git bundle\n" + b"0" * 40 + b" refs/tags/v1\n\n",
     b"# v2 git bundle\n" + b"0" * 40 + b" HEAD\n\n", b"# v2 git bundle\n" + b"0" * 40 + b" refs/heads/" + b"x" * 5000],
)  # fmt: skip
def test_a_bundle_that_is_none_is_refused(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "b").write_bytes(header)
    with (tmp_path / "b").open("rb") as file, pytest.raises(BottleError):
        bring(tmp_path, file, "bottle-s")


def test_what_programs_run_by_themselves_is_named_apart_or_left(agent: Agent, tmp_path: Path) -> None:
    run = [
        ".envrc",
        ".vscode/tasks.json",
        "web/package.json",
        ".husky/pre-commit",
        "x/.claude/settings.json",
        "Makefile",
    ]
    for name in (*run, "src/main.py"):
        (agent.root / name).parent.mkdir(parents=True, exist_ok=True)
        (agent.root / name).write_text("x")
    said = pulled(tmp_path, run_files=False)
    assert [name for name in run if (tmp_path / "host" / name).exists()] == []
    assert (tmp_path / "host/src/main.py").exists()
    assert all(f"left  {name}: run by" in said for name in run)
    before, _, apart = pulled(tmp_path).partition("read these before")
    assert all(f"{name}  (" in apart and name not in before for name in run)
    assert all((tmp_path / "host" / name).exists() for name in run)


def test_links_stay_inside_however_they_are_chained(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("the owner's")
    host = tmp_path / "host"
    subprocess.run(["git", "init", "-q"], cwd=host, check=True)
    (host / "out").symlink_to(tmp_path)  # the owner's own, which leads out
    (agent.root / "p/q").mkdir(parents=True)
    (agent.root / "file").write_text("x")
    for name, target in {
        "p/q/d": "../..", "a-key": "p/q/d/../../key", "b-key": "p/q/d/../key", "abs": str(tmp_path / "key"), "up": "../key",
        "config": ".git/config", "p/config": "../.GIT/config", "through": "out/key", "c": "p/q/d/out/key", "circle": "circle",
        "good": "file", "p/good": "../file", "p/q/far": "d/file", "to-git": "p/q/d/.git",
    }.items():  # fmt: skip
        (agent.root / name).symlink_to(target)
    said = pulled(tmp_path)
    links = [path.relative_to(host) for path in host.rglob("*") if path.is_symlink()]
    assert {path.as_posix() for path in links if path.parts[0] != ".git"} == {
        "out", "p/q/d", "circle", "good", "p/good", "p/q/far"
    }  # fmt: skip
    assert said.count("left  ") == 9


def test_all_is_judged_before_the_first_file_is_written(agent: Agent, tmp_path: Path) -> None:
    host = tmp_path / "host"
    (agent.root / "a").write_text("first")
    (agent.root / "folder").mkdir()
    (agent.root / "folder/b").write_text("x")
    (host / "folder").symlink_to(tmp_path)
    with pytest.raises(BottleError, match=r"nothing was written|changed here and in the bottle"):
        pulled(tmp_path)
    assert not (host / "a").exists()
    (host / "folder").unlink()
    (agent.root / ("n" * 240)).write_text("a long name")
    (agent.root / ".a.claude-bottle-new").mkdir()
    (agent.root / ".a.claude-bottle-new/x").write_text("in the way")
    pulled(tmp_path)
    assert (host / ("n" * 240)).exists()
    # A file where a folder was, and the other way round: what is gone goes first.
    shutil.rmtree(agent.root / "folder")
    (agent.root / "folder").write_text("a file")
    (agent.root / "a").unlink()
    (agent.root / "a").mkdir()
    (agent.root / "a/b").write_text("below")
    pulled(tmp_path)
    assert (host / "folder").read_text() == "a file"
    assert (host / "a/b").read_text() == "below"


def test_what_was_cut_off_goes_on(agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        (agent.root / name).write_text(name)
    place, count = Placing.place, 0

    def full(self: Placing, *args: Any) -> bool:
        nonlocal count
        count += 1
        if count == 3:
            raise OSError("No space left on device")
        return place(self, *args)

    monkeypatch.setattr(Placing, "place", full)
    with pytest.raises(OSError, match="No space"):
        pulled(tmp_path)
    monkeypatch.setattr(Placing, "place", place)
    (tmp_path / "host/a").write_text("the owner's")  # since then: no conflict, for what came is known
    assert "1 files changed" in pulled(tmp_path)
    assert [(tmp_path / "host" / name).read_text() for name in "abc"] == ["the owner's", "b", "c"]
    assert sorted(path.name for path in (tmp_path / "host").iterdir()) == ["a", "b", "c"]


def test_modes_are_the_owners(agent: Agent, tmp_path: Path) -> None:
    host, old = tmp_path / "host", os.umask(0o077)
    try:
        (host / "kept").write_text("x")
        (host / "kept").chmod(0o4755)
        for name in ("kept", "new", "run"):
            (agent.root / name).write_text("y")
        (agent.root / "run").chmod(0o6777)
        pulled(tmp_path, force=True)
    finally:
        os.umask(old)
    modes = {name: (host / name).stat().st_mode & 0o7777 for name in ("kept", "new", "run")}
    assert modes == {"kept": 0o644, "new": 0o600, "run": 0o700}


def hostile(**fields: Any) -> bytes:
    member = tarfile.TarInfo("asked")
    for key, value in fields.items():
        setattr(member, key, value)
    return member.tobuf(tarfile.GNU_FORMAT)


END = b"\0" * 1024


def negative(size: int) -> bytes:
    header = bytearray(hostile())
    header[124:136] = b"\xff" * 4 + (size & (1 << 64) - 1).to_bytes(8, "big")
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


PAX = hostile(type=b"x", size=13) + b"13 size=-512\n".ljust(512, b"\0")


@pytest.mark.parametrize(
    "tar",
    [
        hostile(name="/etc/cron.d/x") + END,
        hostile(name="../outside") + END,
        hostile(name=".git/hooks/post-checkout") + END,
        hostile(name="other") + END,
        hostile() + hostile() + END,
        negative(-512) + END,  # CVE-2025-8194
        PAX + hostile() + END,
        hostile(size=5 << 30) + END,
        hostile(type=b"L", size=300 << 20) + END,
        b"\xff" * 512,
    ],
)
def test_an_archive_of_the_agents_gives_what_was_asked_for_or_ends(tar: bytes) -> None:
    names = []
    with contextlib.suppress(BottleError):
        for member, data in members(io.BytesIO(tar), ["asked"]):
            names.append(member.name)
            assert data is None or len(data.read(100)) == 0
    assert names in ([], ["asked"])


def records(size: int, kind: bytes) -> bytes:
    return hostile(type=kind, size=size) + b"x" * size + b"\0" * (-size % 512)


@pytest.mark.parametrize(
    ("tar", "words"),
    [
        (hostile(type=b"g", size=13) + b"13 a=1234567\n".ljust(512, b"\0") + hostile() + END, "for all members"),
        (records(1 << 20, b"L") * 9 + hostile() + END, "do not end"),
        # A sparse file's map (GNU tar's manual, "Storing Sparse Files"): each block of it says that another one follows.
        (b"".join([(old := bytearray(hostile(type=b"S")))[:0], old[:482], b"1", old[483:]]) + b"\1" * 512 * 20_000, "read"),
        (b"".join(hostile(name=f"n{n}", type=b"K", size=1 << 20) + b"y" * (1 << 20) + hostile(name=f"n{n}", type=b"2")
                  for n in range(65)), "targets of links"),
    ],
    ids=["global", "long names", "sparse", "links"],
)  # fmt: skip
def test_what_an_archive_says_of_its_members_has_a_bound(tar: bytes, words: str) -> None:
    with pytest.raises(BottleError, match=words):
        for _ in members(io.BytesIO(tar), ["asked", *(f"n{n}" for n in range(65))]):
            pass


def test_more_names_than_fit_into_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AgentFiles, "run", lambda *_: b"a\0" * 1_000_001)
    with pytest.raises(BottleError, match="more than 1000000 files"):
        AgentFiles("agent").list_workspace()


def test_an_object_of_the_agents_does_not_take_the_owners_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pack of a kilobyte with a tree that says it has a gigabyte: git asks for that before it reads on."""
    git(tmp_path, "init", "-q")
    pack = b"PACK\0\0\0\2\0\0\0\1" + b"\xa0\x80\x80\x80\x40" + b"x" * 1000
    with (tmp_path / "b").open("w+b") as file:
        file.write(b"# v2 git bundle\n" + b"0" * 40 + b" refs/heads/main\n\n" + pack)
        file.seek(0)
        with pytest.raises(BottleError, match="over limit"):
            bring(tmp_path, file, "bottle-s")


def test_a_link_in_a_circle_keeps_no_workspace_from_being_read(home: Path) -> None:
    (home / "project/loop").symlink_to("loop")
    assert read(home, {"workspace": {"path": "~/project"}})[1] == {}
    (home / ".claude/skills/review/loop").symlink_to("loop")
    assert "link that leaves" in read(home, {"skills": ["review"]})[1]["skills[0]"]


def test_names_that_nobody_asked_for_are_not_placed(tmp_path: Path) -> None:
    placing = Placing(tmp_path / "host")
    for name in ("/tmp/x", "../x", ".git/config", "a/../../x"):
        assert not placing.place(tarfile.TarInfo(name), io.BytesIO(b"x"))
    assert list(tmp_path.rglob("*")) == []


def test_many_repositories_are_judged_in_time() -> None:
    names = [f"a{n}/{part}" for n in range(20_000) for part in ("HEAD", "objects/x", "refs/x", "file")]
    left = dict(left_out(names, {}, lambda _: False, run_files=True))
    assert len(left) == len(names)


def test_a_name_is_one_line(agent: Agent, tmp_path: Path) -> None:
    (agent.root / "a\nleft  b: not brought back").write_text("x")
    assert all(not line.startswith("left") for line in pulled(tmp_path).splitlines())
    (agent.root / "both\nleft  c").write_text("x")
    (tmp_path / "host/both\nleft  c").write_text("y")
    with pytest.raises(BottleError, match="nothing was written") as failed:
        pulled(tmp_path)
    assert all(not line.startswith("left") for line in str(failed.value).splitlines())
    (tmp_path / "host/both\nleft  c").unlink()
    (tmp_path / "host/both\nleft  c").mkdir()
    (tmp_path / "host/both\nleft  c/file").write_text("y")
    with pytest.raises(BottleError, match="is a folder here") as failed:
        pulled(tmp_path)
    assert all(not line.startswith("left") for line in str(failed.value).splitlines())


def test_a_sparse_file_stays_sparse(tmp_path: Path) -> None:
    member = tarfile.TarInfo("big")
    with (tmp_path / "source").open("wb") as source:
        source.write(b"x")
        source.truncate(64 << 20)
    with (tmp_path / "source").open("rb") as data:
        assert Placing(tmp_path).place(member, data)
    placed = (tmp_path / "big").stat()
    assert placed.st_size == 64 << 20
    assert placed.st_blocks * 512 < 4 << 20


@pytest.mark.parametrize(
    ("script", "words"),
    [("exec sleep 60", "took longer than 1 s"), ("exec cat /dev/zero", "more than 1 MB"), ("echo no >&2; exit 3", "no"),
     ("exec >&- 2>&-; exec sleep 60", "did not end")],
)  # fmt: skip
def test_a_command_of_the_agents_ends(script: str, words: str) -> None:
    with pytest.raises(BottleError, match=words):
        run_bounded(["sh", "-c", script], "it", out=io.BytesIO(), seconds=1, most=1 << 20)


def test_a_name_from_the_agent_draws_nothing_on_the_terminal(agent: Agent, tmp_path: Path) -> None:
    (agent.root / "evil\x1b[2J").symlink_to("/etc/passwd")
    (agent.root / "evil\u202e").write_text("x")
    said = pulled(tmp_path)
    assert "left  evil�[2J: " in said
    assert not {"\x1b", "\u202e"}.intersection(said)


def test_what_was_common_is_forgotten_with_the_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    record = BaseRecord("s")
    assert record.read("then") == {}
    record.write("then", {"a": "1"})
    assert record.read("then") == {"a": "1"}
    assert record.read("later") == {}
