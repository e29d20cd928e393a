"""Owner and agent work on one repository in turns: commits travel as commits, and only what is not committed as files.

Both sides are real git; the agent's scripts run here, in a folder of their own. What git refuses to merge over is in
git-merge(1), "Pre-merge checks".
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.names.files import WORKSPACE
from claude_bottle.provision import copies as copy_step
from claude_bottle.workspace import owner_branches, pull
from claude_bottle.workspace.agent_files import AgentFiles
from claude_bottle.workspace.host_folder import digest, items, workspace_files
from claude_bottle.workspace.owner_branches import digest_of, heads
from claude_bottle.workspace.unpulled import unpulled


@dataclass(frozen=True)
class LocalAgent(AgentFiles):
    home: Path = Path()

    def _argv(self, script: str, seconds: int = 60) -> list[str]:
        moved = script.replace(WORKSPACE, str(self.home / "workspace")).replace("/home/node", str(self.home))
        return ["timeout", "-k", "1", str(seconds), "sh", "-euc", moved]


@dataclass
class Turns:
    owner: Path
    agent: Path
    home: Path

    def up(self, branches: str = "") -> str:
        names = workspace_files(self.owner)
        plan = {"container": "c", "stack": "s", "source": str(self.owner), "copy_git": True}
        plan["branches"] = branches or digest_of(heads(self.owner))
        return copy_step.workspace({**plan, "digest": digest(items(self.owner, names))})

    def pull(self, **options: Any) -> str:
        return "\n".join(pull.Pull(self.plan, "c", **options).run())

    @property
    def plan(self) -> dict[str, Any]:
        return {"stack": "s", "workspace": {"mode": "copy", "source": str(self.owner)}}

    def unpulled(self) -> list[str]:
        return unpulled(self.plan, "c")


def git(folder: Path, *argv: str) -> str:
    who = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", **dict.fromkeys(who, "a@example.com")}
    done = subprocess.run(["git", "-C", folder, *argv], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def commit(folder: Path, message: str, **files: str) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)


def log(folder: Path, ref: str = "HEAD") -> list[str]:
    return git(folder, "log", "--format=%s", ref).splitlines()


@pytest.fixture
def turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Turns:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    owner, home = tmp_path / "owner", tmp_path / "home"
    home.mkdir()
    git(tmp_path, "init", "-q", "-b", "main", str(owner))
    commit(owner, "first", code="one\n", README="read\n", old="old\n")
    for module in (
        "claude_bottle.provision.copies",
        "claude_bottle.workspace.pull",
        "claude_bottle.workspace.unpulled",
    ):
        monkeypatch.setattr(f"{module}.AgentFiles", lambda _: LocalAgent("c", home))
    clones = Turns(owner, home / "workspace", home)
    clones.up()
    return clones


def test_three_turns(turns: Turns) -> None:
    owner, agent = turns.owner, turns.agent
    assert log(agent, "owner/main") == ["first"]
    # The agent commits, and leaves something that it has not committed.
    (agent / "old").unlink()
    commit(agent, "the agent's", code="two\n", new="new\n")
    (agent / "README").write_text("read me\n")
    (agent / "notes").write_text("to do\n")
    said = turns.pull()
    assert git(owner, "status", "--porcelain").splitlines() == ["M README", "?? notes"]
    assert "commits: 1 on bottle-s/main; git merge bottle-s/main" in said
    assert turns.unpulled() == []
    git(owner, "merge", "-q", "bottle-s/main")
    assert ((owner / "code").read_text(), (owner / "old").exists()) == ("two\n", False)
    # The owner commits what the agent had left, and more.
    commit(owner, "the owner's", code="three\n")
    assert "has still to merge" not in turns.up()
    assert log(agent) == ["the owner's", "the agent's", "first"]
    assert git(agent, "status", "--porcelain") == ""
    assert (agent / "code").read_text() == "three\n"
    # Again from there.
    commit(agent, "the agent's second", code="four\n")
    assert "commits: 1 on bottle-s/main" in turns.pull()
    git(owner, "merge", "-q", "--ff-only", "bottle-s/main")
    assert log(owner)[0] == "the agent's second"
    assert git(owner, "status", "--porcelain") == git(agent, "status", "--porcelain") == ""
    assert "commits" not in turns.pull()


def test_both_commit_and_the_agent_merges(turns: Turns) -> None:
    owner, agent = turns.owner, turns.agent
    commit(agent, "the agent's", code="two\n")
    commit(owner, "the owner's", README="read me\n")
    assert "the agent has still to merge owner/main" in turns.up()
    assert git(agent, "status", "--porcelain") == "", "no file of a commit that it has not merged"
    git(agent, "merge", "-q", "owner/main", "-m", "merged")
    turns.pull()
    git(owner, "merge", "-q", "--ff-only", "bottle-s/main")
    assert sorted(log(owner)) == sorted(["merged", "the agent's", "the owner's", "first"])
    turns.up()
    assert git(agent, "status", "--porcelain") == git(owner, "status", "--porcelain") == ""


def test_what_was_committed_and_changed_again_comes_after_the_merge(turns: Turns) -> None:
    owner, agent = turns.owner, turns.agent
    commit(agent, "the agent's", code="two\n")
    (agent / "code").write_text("three\n")
    assert "left  code: the agent has committed it and changed it again" in turns.pull()
    assert (owner / "code").read_text() == "one\n"
    git(owner, "merge", "-q", "bottle-s/main")
    turns.pull()
    assert (owner / "code").read_text() == "three\n"
    # The same the other way.
    git(owner, "commit", "-q", "-a", "-m", "the owner's")
    (owner / "code").write_text("four\n")
    turns.up()
    assert (agent / "code").read_text() == "four\n"
    assert log(agent) == ["the owner's", "the agent's", "first"]


def test_the_agents_own_work_stays_when_the_owner_commits(turns: Turns) -> None:
    """Its branch moves on only where that changes no file that it has changed, staged or is merging."""
    owner, agent = turns.owner, turns.agent
    (agent / "code").write_text("the agent's\n")
    commit(owner, "the owner's", code="the owner's\n")
    assert "files that change by it have changes of its own" in turns.up()
    assert (log(agent), (agent / "code").read_text()) == (["first"], "the agent's\n")
    git(agent, "checkout", "-q", "code")
    (agent / "README").write_text("staged\n")
    git(agent, "add", "README")
    assert "has still to merge" in turns.up()
    git(agent, "reset", "-q")
    assert "has still to merge" not in turns.up()
    assert (log(agent), (agent / "code").read_text()) == (["the owner's", "first"], "the owner's\n")
    assert (agent / "README").read_text() == "staged\n"


def test_branches_come_and_go(turns: Turns) -> None:
    owner, agent = turns.owner, turns.agent
    git(owner, "branch", "topic/one")
    turns.up()
    assert git(agent, "for-each-ref", "--format=%(refname:short)", "refs/remotes/owner").split() == [
        "owner/main",
        "owner/topic/one",
    ]
    git(owner, "branch", "-D", "topic/one")
    git(owner, "checkout", "-q", "-b", "other")
    commit(owner, "on another branch", code="other\n")
    turns.up()
    assert log(agent, "owner/other")[0] == "on another branch"
    assert ((agent / "code").read_text(), git(agent, "status", "--porcelain")) == ("one\n", "")
    git(agent, "checkout", "-q", "-b", "apart")
    commit(agent, "apart", more="more\n")
    git(agent, "checkout", "-q", "main")
    assert "commits: 1 on bottle-s/apart; git merge bottle-s/apart" in turns.pull()


def test_an_agent_without_a_history_in_common_brings_files(turns: Turns) -> None:
    agent = turns.agent
    subprocess.run(["rm", "-rf", str(agent / ".git")], check=True)
    git(agent, "init", "-q", "-b", "main")
    commit(agent, "anew", code="two\n")
    turns.pull()
    assert (turns.owner / "code").read_text() == "two\n"


def test_a_dry_run_writes_no_object(turns: Turns) -> None:
    before = sorted(str(path) for path in (turns.owner / ".git").rglob("*"))
    commit(turns.agent, "the agent's", code="two\n")
    assert "commits: 1 on bottle-s/main" in turns.pull(dry_run=True)
    assert sorted(str(path) for path in (turns.owner / ".git").rglob("*")) == before


def stage(turns: Turns, name: str, text: str) -> None:
    (turns.agent / name).write_text(text)
    git(turns.agent, "add", "-f", name)


@pytest.mark.parametrize("also", ["", "rm", "both knew it", "--assume-unchanged", "--skip-worktree"])
def test_what_the_agents_index_says_overwrites_no_work_of_the_owners(turns: Turns, also: str) -> None:
    """An index is the agent's own word (git-update-index(1)); what the owner's git does not look at is not alike."""
    owner, agent = turns.owner, turns.agent
    name = "README" if also.startswith("--") else "notes"
    if also == "both knew it":
        (owner / name).write_text("from before\n")
        turns.up()
    (owner / name).write_text("the owner's hour\n")
    if also.startswith("--"):
        git(owner, "update-index", also, name)
    stage(turns, name, "the agent's\n")
    if also == "rm":
        (agent / name).unlink()
    with contextlib.suppress(BottleError):
        turns.pull()
    assert (owner / name).read_text() == "the owner's hour\n"


def test_a_nested_repository_of_the_owners_is_not_written_to(turns: Turns) -> None:
    nested = turns.owner / "nested"
    nested.mkdir()
    git(nested, "init", "-q")
    (nested / "x").write_text("the owner's\n")
    (turns.agent / "nested").mkdir()
    stage(turns, "nested/x", "the agent's\n")
    with contextlib.suppress(BottleError):
        turns.pull()
    assert (nested / "x").read_text() == "the owner's\n"


def test_a_filter_of_the_owners_makes_nothing_alike(turns: Turns) -> None:
    """gitattributes(5), filter: git compares what a clean filter leaves, as nbstripout does."""
    owner = turns.owner
    commit(owner, "with a filter", **{"x.nb": "kept\n", ".gitattributes": "*.nb filter=strip\n"})
    turns.up()
    git(owner, "config", "filter.strip.clean", "sed /output/d")
    (owner / "x.nb").write_text("kept\noutput of an hour\n")
    (turns.agent / "x.nb").write_text("the agent's\n")
    with contextlib.suppress(BottleError):
        turns.pull()
    assert "output of an hour" in (owner / "x.nb").read_text()


@pytest.mark.parametrize(("in_the_way", "committed"), [("build/work", "build"), ("lib", "lib/x")])
def test_what_is_in_the_way_of_the_owners_commit_is_not_lost(turns: Turns, in_the_way: str, committed: str) -> None:
    work, owners_file = turns.agent / in_the_way, turns.owner / committed
    for file in (work, owners_file):
        file.parent.mkdir(exist_ok=True)
    work.write_text("the agent's\n")
    commit(turns.owner, "the owner's", **{committed: "the owner's\n"})
    turns.up()
    assert work.read_text() == "the agent's\n"


def test_a_commit_that_comes_meanwhile_stays_on_its_branch(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, agent = turns.owner, turns.agent
    commit(owner, "the owner's", code="two\n")
    looked = owner_branches.agents_blobs

    def and_commit(*args: Any, **options: Any) -> Any:
        blobs = looked(*args, **options)
        commit(agent, "meanwhile", new="new\n")
        return blobs

    monkeypatch.setattr(owner_branches, "agents_blobs", and_commit)
    turns.up()
    assert "meanwhile" in log(agent)


def test_branches_that_nobody_has_looked_over_are_not_sent(turns: Turns) -> None:
    seen = digest_of(heads(turns.owner))
    git(turns.owner, "branch", "later")
    with pytest.raises(BottleError, match="have changed since they were checked"):
        turns.up(seen)


def test_of_a_partial_clone_no_history_travels_and_nothing_is_fetched(turns: Turns, tmp_path: Path) -> None:
    """git-clone(1), --filter: git asks the upstream for what is missing, by whatever name it is asked for."""
    git(turns.owner, "config", "remote.origin.promisor", "true")
    git(turns.owner, "config", "remote.origin.url", str(tmp_path / "nowhere"))
    git(turns.owner, "branch", "old")
    assert "it is a partial clone" in turns.up()
    assert "owner/old" not in git(turns.agent, "for-each-ref", "--format=%(refname:short)")
    commit(turns.agent, "the agent's", code="two\n")
    assert "commits: some on bottle-s/main" in turns.pull()


def test_a_branchs_name_is_no_command(turns: Turns) -> None:
    """git-check-ref-format(1) allows what a shell acts on."""
    git(turns.agent, "checkout", "-q", "-b", "fix;touch${IFS}PWNED;true")
    commit(turns.agent, "x", code="two\n")
    (line,) = [line for line in turns.pull().splitlines() if line.startswith("commits")]
    command = line[line.index("git merge") :].removesuffix(" merges them")
    subprocess.run(["sh", "-c", command], cwd=turns.owner, check=False, capture_output=True)
    assert not (turns.owner / "PWNED").exists()
    assert (turns.owner / "code").read_text() == "two\n"


def test_many_refs_of_the_agents_cost_one_look(turns: Turns) -> None:
    first = git(turns.agent, "rev-parse", "HEAD")
    lines = "".join(f"create refs/heads/b{n} {first}\ncreate refs/junk/{n} {first}\n" for n in range(3000))
    subprocess.run(["git", "-C", str(turns.agent), "update-ref", "--stdin"], input=lines.encode(), check=True)
    git(turns.owner, "branch", "one-more")
    turns.up()
    said = turns.pull().splitlines()
    assert len(said) < 30
    assert said[-1] == "… and 2981 more branches"


def test_down_tells_of_commits_on_no_branch_and_of_a_stash(turns: Turns) -> None:
    agent = turns.agent
    git(agent, "checkout", "-q", "--detach")
    commit(agent, "on no branch", code="two\n")
    (agent / "code").write_text("three\n")
    git(agent, "stash", "-q")
    lost = turns.unpulled()
    assert any(line.startswith("commits of HEAD") for line in lost), lost
    assert any(line.startswith("commits of stash") for line in lost), lost
