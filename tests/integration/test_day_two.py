"""A bottle that is worked with for a while: everything a person puts in, edits, pulls out, breaks and mends."""

from __future__ import annotations

import copy
import json
import re
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import world

pytestmark = pytest.mark.docker

TOKEN = "sk-ant-oat01-" + secrets.token_urlsafe(40)
MANIFEST: dict[str, Any] = {
    "agent": {"memory": "1g", "cpus": 1.5, "command": ["sleep", "86400"]},
    "env": {"GREETING": "hello"},
    "prompt": {"file": "prompt.md"},
    "skills": ["./skills/review"],
    "workspace": {"path": "project", "copy_git": True},
    "egress": {
        "routes": [
            {"host": "api.anthropic.com", "token_ref": "CLAUDE_CODE_OAUTH_TOKEN"},
            {"host": "echo.example.com"},
        ]
    },
    "pipelock": {
        "allow": ["plain.example.com"],
        "passthrough": ["api.anthropic.com"],
        "ca_files": ["root.pem"],
        "dlp": {"patterns": [{"name": "ticket", "regex": "tkt_[a-z0-9]{12}"}], "disabled_rules": ["github-pat"]},
    },
}
SKILL = b"---\nname: review\ndescription: MARK-skill how to review\n---\nLook twice.\n"


def git(folder: Path, *argv: str) -> str:
    identity = ["-c", "user.name=Owner", "-c", "user.email=owner@example.com"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *argv], check=True, capture_output=True, text=True)
    return done.stdout


def manifest(internet: world.Internet, **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(MANIFEST), "network": {"external": internet.network}, **changes}


@pytest.fixture(scope="module")
def bottle(internet: world.Internet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[world.BottleUnderTest]:
    files = {"root.pem": internet.ca, "prompt.md": b"MARK-prompt-one", "skills/review/SKILL.md": SKILL}
    folder = tmp_path_factory.mktemp("project")
    with world.bottle(folder, manifest(internet), {"CLAUDE_CODE_OAUTH_TOKEN": TOKEN}, files) as bottle:
        project = bottle.folder / "stacks/project"
        project.mkdir()
        git(project, "init", "-q", "-b", "main")
        git(project, "remote", "add", "origin", "git@git.example.com:acme/project.git")
        for name, text in (("README", "read me"), ("code.py", "one"), ("mine.txt", "mine"), (".gitignore", ".env\n")):
            (project / name).write_text(text)
        (project / ".env").write_text("PASSWORD=never-copied")
        git(project, "add", "-A")
        git(project, "commit", "-q", "-m", "first")
        bottle.up()
        yield bottle


@pytest.fixture
def project(bottle: world.BottleUnderTest) -> Path:
    return bottle.folder / "stacks/project"


def test_everything_named_arrives_and_belongs_to_the_agent(
    bottle: world.BottleUnderTest, internet: world.Internet
) -> None:
    assert bottle.marks("hello MARK-session", internet) >= {"MARK-prompt-one", "MARK-skill", "MARK-session"}
    assert bottle.agent("echo $GREETING").strip() == "hello"
    owners = bottle.agent("find /home/node -path /home/node/.claude/projects -prune -o ! -user node -print")
    assert owners.strip() == ""
    said = bottle.agent("cd ~/workspace; ls -A; git status --short; git remote -v; git log --format=%s; cat code.py")
    assert {"README", "code.py", "mine.txt", ".git", "first", "one"} <= set(said.split())
    assert "git@git.example.com:acme/project.git" in said
    assert "never-copied" not in bottle.agent("grep -r never-copied /home/node || true")
    inspected = json.loads(world.docker("inspect", f"claude-bottle-agent-{bottle.name}"))[0]
    limits = inspected["HostConfig"]
    assert (limits["Memory"], limits["MemorySwap"], limits["NanoCpus"]) == (1 << 30, 1 << 30, 1_500_000_000)
    assert inspected["Config"]["Cmd"] == ["sleep", "86400"]
    assert (
        bottle.agent("cd ~/workspace && echo x > new && git add new && git commit -qm mine && echo DONE").strip()
        == "DONE"
    )


def test_the_options_of_pipelock_are_at_work(bottle: world.BottleUnderTest) -> None:
    own = ["-d", "see tkt_abcdef012345", "https://echo.example.com/"]
    assert "ticket" in bottle.curl(*own)[1]
    shaped = "ghp_" + "A1b2C3d4E5f6G7h8J9k0L1m2N3p4Q5r6S7t8"
    assert bottle.curl("-d", f"a b c {shaped}", "https://echo.example.com/")[0] == 200  # the rule is disabled
    policy = bottle.stack.outputs()["plan"].value["pipelock"]
    assert policy["allowlist"] == ["api.anthropic.com", "echo.example.com", "plain.example.com", "egress"]


def test_a_second_up_does_nothing(bottle: world.BottleUnderTest) -> None:
    bottle.up(expect_no_changes=True)


def test_a_prompt_edit_runs_one_step_and_restarts_nothing(
    bottle: world.BottleUnderTest, internet: world.Internet
) -> None:
    before = [bottle.container_id(role) for role in ("agent", "egress", "pipelock")]
    (bottle.folder / "stacks/prompt.md").write_text("MARK-prompt-two")
    changed = {change["urn"].rpartition("::")[2] for change in steps(bottle) if change["op"] == "update"}
    assert changed == {bottle.name, f"{bottle.name}-provision-prompt"}  # the first carries the plan
    bottle.up()
    assert [bottle.container_id(role) for role in ("agent", "egress", "pipelock")] == before
    seen = bottle.marks("and now", internet)
    assert "MARK-prompt-two" in seen
    assert "MARK-prompt-one" not in seen


def steps(bottle: world.BottleUnderTest) -> list[dict[str, Any]]:
    done = bottle.run("pulumi", "preview", "--json", "--stack", bottle.name)
    assert done.returncode == 0, done.stderr[-2000:]
    assert TOKEN not in done.stdout + done.stderr
    return [step for step in json.loads(done.stdout)["steps"] if step["op"] not in ("same", "refresh", "read")]


def test_a_preview_holds_the_change_in_the_plan_and_no_secret(
    bottle: world.BottleUnderTest, internet: world.Internet
) -> None:
    edited = manifest(internet)
    edited["egress"]["routes"].append({"host": "new.example.com", "path": ["/api"]})
    bottle.write(edited)
    done = bottle.run("pulumi", "preview", "--json", "--stack", bottle.name)
    output = json.loads(done.stdout)
    (step,) = (s for s in output["steps"] if "claude-bottle:index:Bottle::" in s["urn"] and s["op"] == "update")
    hosts = [[r["host"] for r in step[age]["inputs"]["plan"]["egress"]["routes"]] for age in ("oldState", "newState")]
    assert hosts[1] == [*hosts[0], "new.example.com"]
    keys = json.loads(bottle.run("pulumi", "stack", "export", "--show-secrets", "--stack", bottle.name).stdout)
    pems = [r["outputs"]["privateKeyPem"] for r in keys["deployment"]["resources"] if r["type"].endswith(":PrivateKey")]
    pems = [json.loads(pem["plaintext"]) if isinstance(pem, dict) else pem for pem in pems]
    assert len(pems) == 2
    # The private number of an EC key is in the first line; what follows is the public key, which certificates show.
    secret_lines = [TOKEN, *(pem.splitlines()[1] for pem in pems)]
    assert not [line for line in secret_lines if line in done.stdout + done.stderr]
    table = bottle.bottle("plan", bottle.name)
    assert "+ the agent gains new.example.com: every method on /api" in table.stdout
    assert TOKEN not in table.stdout
    bottle.write(manifest(internet))


def test_another_value_of_a_token_is_told_and_not_shown(bottle: world.BottleUnderTest) -> None:
    """The first look is at an unchanged bottle, which has nothing to tell."""
    assert "would change nothing" in bottle.bottle("plan", bottle.name).stdout
    other = "sk-ant-oat01-" + secrets.token_urlsafe(40)
    before = bottle.env["CLAUDE_CODE_OAUTH_TOKEN"]
    bottle.env["CLAUDE_CODE_OAUTH_TOKEN"] = other
    try:
        table = bottle.bottle("plan", bottle.name)
    finally:
        bottle.env["CLAUDE_CODE_OAUTH_TOKEN"] = before
    assert "~ the secret CLAUDE_CODE_OAUTH_TOKEN has another value than the one in use" in table.stdout, table.stdout
    assert not [token for token in (before, other) if token in table.stdout + table.stderr]


def pull(bottle: world.BottleUnderTest, *options: str) -> tuple[int, str]:
    done = bottle.bottle("pull", bottle.name, *options)
    return done.returncode, done.stdout + done.stderr


def test_work_comes_back_and_nothing_of_the_owner_is_overwritten(bottle: world.BottleUnderTest, project: Path) -> None:
    bottle.agent(
        "cd ~/workspace; echo two > code.py; mkdir -p lib; echo new > lib/made.py; git add -A; git commit -qm work;"
        " ln -s /etc/passwd out; printf '#!/bin/sh\\ntouch /tmp/pwned' > .git/hooks/post-checkout 2>/dev/null;"
        " git config core.fsmonitor 'touch /tmp/pwned'"
    )
    config = (project / ".git/config").read_text()
    status, said = pull(bottle, "--dry-run")
    assert status == 0, said
    assert re.search(f"commits: [0-9]+ on bottle-{bottle.name}/main", said)
    assert f"bottle-{bottle.name}" not in git(project, "for-each-ref")
    status, said = pull(bottle)
    assert status == 0, said
    assert (project / "code.py").read_text() == "one"
    git(project, "merge", "-q", f"bottle-{bottle.name}/main")
    assert (project / "code.py").read_text() == "two\n"
    assert (project / "lib/made.py").read_text() == "new\n"
    assert not (project / "out").is_symlink()
    assert (project / ".env").read_text() == "PASSWORD=never-copied"
    assert "work" in git(project, "log", "--format=%s", f"bottle-{bottle.name}/main")
    assert (project / ".git/config").read_text() == config
    assert not (project / ".git/hooks/post-checkout").exists()
    # Both sides change one file: nothing is written, also not the file that only the agent has changed.
    (project / "code.py").write_text("the owner's\n")
    bottle.agent("cd ~/workspace; echo three > code.py; echo newer > lib/made.py")
    status, said = pull(bottle)
    assert status == 1
    assert "code.py" in said
    assert (project / "code.py").read_text() == "the owner's\n"
    assert (project / "lib/made.py").read_text() == "new\n"
    assert pull(bottle, "--to", str(bottle.folder / "copy"))[0] == 0
    assert (bottle.folder / "copy/code.py").read_text() == "three\n"
    assert pull(bottle, "--force")[0] == 0
    assert (project / "code.py").read_text() == "three\n"


def test_what_the_agent_disguises_or_blocks_does_no_harm(
    bottle: world.BottleUnderTest, project: Path, tmp_path: Path
) -> None:
    """A repository under another name, links in a chain, pipes and devices in files' places, a file of 4 GB of nothing."""
    ran, key = tmp_path / "ran", project.parent / "key"
    key.write_text("the owner's key")
    bottle.agent(
        "cd ~/workspace; git init -q --bare docs; cd docs; git config core.bare false; git config core.worktree .;"
        f" git config core.fsmonitor 'touch {ran}; false'; touch objects/info/x refs/heads/x; echo hello > readme;"
        " cd ..; mkdir -p p/q; ln -s ../.. p/q/d; ln -s p/q/d/../../key a-key; ln -s .git/config a-config;"
        " mkfifo pipe; truncate -s 4G big; ln a-key hard; echo layout > .envrc; printf x > 'draws\033[2J'"
    )
    bottle.agent("mkfifo ~/.claude.json.new; mv ~/.claude.json ~/.claude.json.kept; mkfifo ~/.claude.json")
    status, said = pull(bottle)
    assert status == 0, said
    assert "\033" not in said
    assert "docs/HEAD: part of a git repository" in said
    assert "  .envrc  (direnv" in said.partition("read these before")[2]
    git(project, "status")
    subprocess.run(["git", "status"], cwd=project / "docs" if (project / "docs").exists() else project, check=False)
    assert not ran.exists()
    assert not [path for path in project.rglob("*") if path.is_symlink() and path.name in ("a-key", "a-config", "hard")]
    assert (project / "big").stat().st_size == 4 << 30
    assert (project / "big").stat().st_blocks < 20_000
    bottle.up()  # with a pipe where Claude Code's settings are: it ends, and says so where it matters
    bottle.agent(
        "cd ~; rm -f .claude.json; mv .claude.json.kept .claude.json; cd workspace; rm -rf docs p a-* hard pipe big .envrc draws*"
    )
    assert pull(bottle)[0] == 0


def test_what_only_the_bottle_has_stops_down_and_another_project(bottle: world.BottleUnderTest, project: Path) -> None:
    def unpulled() -> tuple[int, str]:
        done = bottle.run(*world.unpulled(bottle.name))
        return done.returncode, done.stderr

    # The program that an earlier test has set makes a file whenever the agent's git looks.
    bottle.agent("cd ~/workspace; git config --unset core.fsmonitor; rm -f [0-9]*")
    assert pull(bottle)[0] == 0
    assert unpulled() == (0, "")
    bottle.agent(
        "cd ~/workspace; echo more >> code.py; git checkout -qb apart; git commit -qam apart; git checkout -q main"
    )
    status, said = unpulled()
    assert status == 1
    assert "commits of apart" in said
    assert f"bottle pull {bottle.name}" in said
    bottle.agent("cd ~/workspace; echo again >> code.py")
    assert "edit  code.py" in unpulled()[1]
    assert pull(bottle)[0] == 0
    assert unpulled() == (0, "")
    text = bottle.file.read_text()
    other = project.parent / "other"
    other.mkdir()
    bottle.file.write_text(text.replace("path: project", "path: other"))
    with pytest.raises(world.auto.CommandError, match="works on a copy of"):
        bottle.stack.preview()
    bottle.file.write_text(text)


def test_an_edit_on_the_host_reaches_the_agent_and_its_own_work_stays(
    bottle: world.BottleUnderTest, project: Path
) -> None:
    (project / "README").write_text("read me again")
    (project / "mine.txt").write_text("the owner's")
    bottle.agent("cd ~/workspace; echo 'the agents' > mine.txt")
    bottle.up()
    assert any("the agent's version was kept where both have changed: mine.txt" in line for line in bottle.log)
    assert bottle.agent("cd ~/workspace; cat README mine.txt").split("again") == ["read me ", "the agents\n"]
    bottle.up(expect_no_changes=True)


def test_a_package_makes_a_new_agent_that_goes_on_where_the_old_one_was(
    bottle: world.BottleUnderTest, internet: world.Internet
) -> None:
    before = bottle.container_id("agent")
    bottle.marks("remember MARK-remembered", internet)
    bottle.write(manifest(internet, agent={"memory": "1g", "apt": ["tree"]}))
    bottle.up()
    assert bottle.container_id("agent") != before
    assert "workspace" in bottle.agent("tree -L 1 /home/node")
    assert bottle.agent("cat ~/workspace/mine.txt").strip() == "the agents"
    assert {"MARK-remembered", "MARK-prompt-two"} <= bottle.marks("what was it", internet, "--continue")
    bottle.write(manifest(internet))
    bottle.up()


def test_what_was_killed_removed_or_cut_by_hand_is_mended(bottle: world.BottleUnderTest) -> None:
    agent, egress, pipelock = (f"claude-bottle-{role}-{bottle.name}" for role in ("agent", "egress", "pipelock"))
    own = world.docker("inspect", "-f", "{{range $n, $_ := .NetworkSettings.Networks}}{{$n}}{{end}}", agent).strip()
    works = ("-d", "x", "https://echo.example.com/")

    def kill() -> None:
        world.docker("kill", pipelock)

    def remove() -> None:
        world.docker("rm", "-f", agent)

    def cut() -> None:
        world.docker("network", "disconnect", own, egress)
        world.docker("network", "connect", "bridge", agent)  # a way out that nobody declared

    for damage in (kill, remove, cut):
        damage()
        if damage is not cut:
            assert bottle.curl(*works)[0] != 200
        bottle.stack.refresh()
        bottle.up()
        assert bottle.curl(*works)[0] == 200, damage.__name__
        joined = world.docker("inspect", "-f", "{{range $n, $_ := .NetworkSettings.Networks}}{{$n}}{{end}}", agent)
        assert joined.strip() == own
        assert bottle.agent("cat ~/workspace/mine.txt").strip() == "the agents"
    bottle.up()  # takes note of the networks that were put back
    bottle.up(expect_no_changes=True)


def test_a_step_that_fails_says_what_to_do_and_the_next_up_goes_on(
    bottle: world.BottleUnderTest, internet: world.Internet
) -> None:
    before = bottle.container_id("agent")
    skill = bottle.folder / "stacks/skills/review/SKILL.md"
    bottle.agent("chmod 555 ~/.claude/skills")
    skill.write_bytes(SKILL.replace(b"MARK-skill", b"MARK-better"))
    (bottle.folder / "stacks/prompt.md").write_text("MARK-prompt-three")
    with pytest.raises(world.auto.CommandError) as failed:
        bottle.up()
    assert "Permission denied" in str(failed.value)
    assert "fix it and run up again" in str(failed.value)
    assert bottle.container_id("agent") == before
    assert {"MARK-prompt-three", "MARK-skill"} <= bottle.marks("x", internet)  # what came before it is done
    bottle.agent("chmod 755 ~/.claude/skills")
    bottle.up()
    assert {"MARK-prompt-three", "MARK-better"} <= bottle.marks("x", internet)
    bottle.write(manifest(internet, skills=[], prompt="MARK-prompt-four"))
    bottle.up()
    assert "review" not in bottle.agent("ls ~/.claude/skills")
    assert "MARK-prompt-four" in bottle.marks("x", internet)


def test_two_ups_at_once_give_one_clear_error(bottle: world.BottleUnderTest, internet: world.Internet) -> None:
    bottle.write(manifest(internet, prompt="MARK-prompt-five"))
    up = ["pulumi", "up", "--yes", "--skip-preview", "--stack", bottle.name]
    locks = bottle.folder / "state/.pulumi/locks"
    env = {**world.os.environ, **bottle.env}
    with subprocess.Popen(up, cwd=bottle.folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as first:
        while first.poll() is None and not list(locks.rglob("*.json")):
            pass
        second = bottle.run(*up)
        assert first.wait(500) == 0
    assert second.returncode != 0
    assert "currently locked" in second.stdout + second.stderr
    assert "MARK-prompt-five" in bottle.agent("cat ~/.claude/rules/claude-bottle-prompt.md")


def test_destroy_takes_the_home_along(bottle: world.BottleUnderTest) -> None:
    """Last in this file."""
    assert any(leftover.startswith("volume") for leftover in world.leftovers(bottle.name))
    bottle.stack.destroy()
    assert world.leftovers(bottle.name) == []
