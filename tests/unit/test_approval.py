"""Verdicts: what is made of them, in which order, and what a kill between two steps leaves behind."""

from __future__ import annotations

import json
import re
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from asked import FILE, ROUTE
from typer.testing import CliRunner

from claude_bottle.approvals.approval import ON_PAGE, Approval, WaitingError
from claude_bottle.approvals.audit.log import Audit
from claude_bottle.approvals.edit.stack_file import changed, without_ended
from claude_bottle.approvals.journal import ApprovalInProgress, ApprovalJournal
from claude_bottle.approvals.sweep import sweep
from claude_bottle.cli import ask, proposal_text
from claude_bottle.host.local_backend import all_stale
from claude_bottle.manifest.change import Change, ChangeError
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.routes import RouteTableFile
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.proposals import STILL_REFUSED, Proposal
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.table import RouteTable
from claude_bottle.runs.automation import BusyError, Previewed
from dashboard import server
from sidecar_images.supervise.answers import answer

REQUEST = {"method": "GET", "host": "a.example.com", "path": "/x", "reason": "host_not_declared"}
ONCE = {"path": "pipelock.once", "value": "sha256:" + "a" * 64}
Step = tuple[str, ...]


class Killed(BaseException):
    """The process ends here."""


class World:
    """A stand-in for the sidecars and for Pulumi, which notes every step and can end the process before or after one."""

    def __init__(self, change: dict[str, Any], request: dict[str, Any] | None = None) -> None:
        self.proposal = Proposal("p-0000000001", 0.0, "egress-block", change, "w", request or {})
        self.steps: list[Step] = []
        self.kill_at: int | None = None
        self.fail_up: list[bool] = []
        self.file: Path
        self.waits = Previewed([], [])  # what `up` would do with the stack file as it is

    def step(self, *what: str) -> None:
        """Each step can be cut before it does anything, and after all of it is done."""
        if self.kill_at is not None:
            self.kill_at -= 1
            if self.kill_at < 0:
                raise Killed
        if what:
            self.steps.append(what)

    # the sidecars
    def get(self, _: str) -> Proposal:
        return self.proposal

    def decide(self, identity: str, verdict: str, reply: str, note: str = "") -> None:
        self.step()
        if self.proposal.verdict != "pending":
            raise BottleError(f"{identity} is not pending")
        self.steps.append(("decide", verdict, reply, note))
        fields = {**vars(self.proposal), "verdict": verdict, "reply": reply, "note": note}
        self.proposal = Proposal(**fields)
        self.step()

    def note(self, _: str, note: str) -> None:
        self.step("note", note)

    def replay(self, request: dict[str, Any]) -> dict[str, Any]:
        self.step("replay", request["host"])
        return {"status": 200}

    def grant(self, part: str, digest: str, identity: str) -> None:
        self.step("grant", part, digest, identity)
        self.step()

    # Pulumi
    def up(self, tell: Any) -> None:
        self.step()
        text = self.file.read_text()
        self.steps.append(("up", "with" if "a.example.com" in text else "without"))
        tell("up")
        if self.fail_up and self.fail_up.pop(0):
            raise BottleError("no")
        self.step()

    def preview(self, text: str) -> Previewed:
        return self.waits if text == self.file.read_text() else Previewed([text], [])


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def approval(tmp_path: Path, world: World) -> Approval:
    world.file = tmp_path / "stacks/Pulumi.s.yaml"
    if not world.file.exists():
        world.file.parent.mkdir()
        world.file.write_text(FILE)
    return Approval("s", tmp_path, world, world, Audit("s"), ApprovalJournal("s"), who="me")  # type: ignore[arg-type]


def events(name: str = "s") -> list[str]:
    return [record["event"] for record in Audit(name).records()]


def test_approved_is_said_only_when_it_is_in_force(tmp_path: Path) -> None:
    world = World(ROUTE, REQUEST)
    note = approval(tmp_path, world).approve("p-0000000001", "ok")
    assert [step[0] for step in world.steps] == ["note", "up", "replay", "decide"]
    assert world.steps[-1] == ("decide", "approved", "ok", note)
    assert "it passes, status 200" in note
    assert events() == ["approving", "approved"]
    record = list(Audit("s").records())[-1]
    assert record["who"] == "me (terminal)"
    assert record["change"] == {**ROUTE, "value": {**ROUTE["value"], "token_ref": None}}  # without a credential
    assert record["file"]["before"] != record["file"]["after"]


@pytest.mark.parametrize(
    ("request_", "replayed"),
    [({**REQUEST, "method": "POST"}, False), ({**REQUEST, "method": "DELETE"}, False), ({}, False), (REQUEST, True)],
)
def test_only_safe_methods_are_tried_again(tmp_path: Path, request_: dict[str, Any], replayed: bool) -> None:
    world = World(ROUTE, request_)
    approval(tmp_path, world).approve("p-0000000001", "")
    assert ("replay" in [step[0] for step in world.steps]) is replayed


def test_an_up_that_fails_leaves_all_as_it_was(tmp_path: Path) -> None:
    world = World(ROUTE, REQUEST)
    world.fail_up = [True]
    approvals = approval(tmp_path, world)
    with pytest.raises(BottleError, match=r"no\nthe stack file and the bottle were rolled back; .* still pending"):
        approvals.approve("p-0000000001", "")
    assert world.file.read_text() == FILE
    assert [step for step in world.steps if step[0] != "note"] == [("up", "with"), ("up", "without")]
    assert world.proposal.verdict == "pending"
    assert ApprovalJournal("s").in_progress() is None
    assert events() == ["approving", "failed"]
    approvals.approve("p-0000000001", "now")
    assert world.proposal.verdict == "approved"


def test_when_it_cannot_be_taken_back_that_is_said(tmp_path: Path) -> None:
    world = World(ROUTE)
    world.fail_up = [True, True]
    with pytest.raises(BottleError, match=r"may be partly changed: no\nonce that is fixed: \./bottle up s"):
        approval(tmp_path, world).approve("p-0000000001", "")
    assert world.file.read_text() == FILE


def test_an_edit_of_the_owners_meanwhile_stays(tmp_path: Path) -> None:
    world = World(ROUTE)
    approvals = approval(tmp_path, world)

    def edit(_: Any) -> None:
        world.file.write_text("# mine now\n" + world.file.read_text())
        raise BottleError("no")

    world.up = edit  # type: ignore[method-assign]
    with pytest.raises(BottleError, match="edited in the meantime and is left unchanged"):
        approvals.approve("p-0000000001", "")
    assert world.file.read_text().startswith("# mine now")


@pytest.mark.parametrize(
    "change", [ROUTE, ONCE, {"path": "agent.apt", "value": "a.example.com"}], ids=lambda c: c["path"]
)
def test_a_kill_at_any_step_loses_nothing_and_does_nothing_twice(tmp_path: Path, change: dict[str, Any]) -> None:
    kill_at, killed = 0, True
    while killed:
        folder = tmp_path / str(kill_at)
        folder.mkdir()
        for file in (tmp_path / "state").rglob("s.*"):
            file.unlink()
        world = World(change, REQUEST)
        world.kill_at, killed = kill_at, False
        approvals = approval(folder, world)
        try:
            approvals.approve("p-0000000001", "ok")
        except Killed:
            killed = True
        world.kill_at = None
        begun = ApprovalJournal("s").in_progress()
        assert world.proposal.verdict == "approved" or begun is not None, kill_at  # the owner's word is not lost
        approval(folder, world).resume_interrupted()
        assert world.proposal.verdict == "approved"
        assert [step[0] for step in world.steps].count("decide") == 1
        assert ApprovalJournal("s").in_progress() is None
        assert events() == ["approving", "approved"]
        assert world.file.read_text().count("a.example.com") == (0 if change is ONCE else 1)
        assert Audit("s").verify()[0] == 2
        assert approval(folder, world).resume_interrupted() is None
        kill_at += 1
    assert kill_at > 3


def test_a_verdict_that_cannot_be_stored_is_given_by_saying_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(ROUTE, REQUEST)
    stored = world.decide

    def full(identity: str, *_: str) -> None:
        raise BottleError(f"{identity} is still pending")

    monkeypatch.setattr(world, "decide", full)
    with pytest.raises(BottleError, match=r"is in force, but the agent could not be told: p-0000000001 is still"):
        approval(tmp_path, world).approve("p-0000000001", "ok")
    monkeypatch.setattr(world, "decide", stored)
    approval(tmp_path, world).approve("p-0000000001", "ok")
    assert world.proposal.verdict == "approved"
    assert events().count("approved") == 1


def test_what_was_cut_off_can_be_taken_back(tmp_path: Path) -> None:
    world = World(ROUTE)
    world.kill_at = 2  # after note and the beginning of up: at its end
    with pytest.raises(Killed):
        approval(tmp_path, world).approve("p-0000000001", "ok")
    assert "a.example.com" in world.file.read_text()
    world.kill_at = None
    approval(tmp_path, world).reject("p-0000000001", "no, after all")
    assert world.file.read_text() == FILE
    assert [step for step in world.steps if step[0] != "note"] == [
        ("up", "with"), ("up", "without"), ("decide", "rejected", "no, after all", ""),
    ]  # fmt: skip
    assert events() == ["approving", "rejected"]


def test_when_somebody_else_is_at_work_the_owners_yes_waits(tmp_path: Path) -> None:
    world = World(ROUTE)
    approvals = approval(tmp_path, world)
    up = world.up

    def busy(_: Any) -> None:
        raise BusyError("busy")

    world.up = busy  # type: ignore[method-assign]
    with pytest.raises(BottleError, match="busy; the approval of p-0000000001 is not finished"):
        approvals.approve("p-0000000001", "ok")
    assert "a.example.com" in world.file.read_text()
    world.up = up  # type: ignore[method-assign]
    assert approvals.resume_interrupted() == "p-0000000001"
    assert world.proposal.verdict == "approved"
    assert events() == ["approving", "approved"]


def test_a_lock_is_stale_only_when_its_pulumi_is_gone_for_sure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    folder = tmp_path / ".pulumi/locks/organization/claude-bottle/s"
    folder.mkdir(parents=True)
    assert not all_stale("s")
    gone = {"pid": 2**22 + 1, "hostname": socket.gethostname()}
    (folder / "a.json").write_text(json.dumps(gone))
    assert all_stale("s")
    for other in ({**gone, "hostname": "elsewhere"}, {"hostname": gone["hostname"]}, []):
        (folder / "b.json").write_text(json.dumps(other))
        assert not all_stale("s")
    (folder / "b.json").unlink()
    monkeypatch.setenv("PULUMI_BACKEND_URL", "https://pulumi.example.com")
    assert not all_stale("s")


def test_one_at_a_time(tmp_path: Path) -> None:
    approvals = approval(tmp_path, World(ROUTE))
    with ApprovalJournal("s").lock(), pytest.raises(BottleError, match="another approval of s is running"):
        approvals.approve("p-0000000001", "", patience=0.3)
    ApprovalJournal("s").begin(ApprovalInProgress("p-other", ROUTE, "", "me", FILE, FILE))
    with pytest.raises(BottleError, match="p-other was interrupted"):
        approvals.approve("p-0000000001", "")


def test_what_comes_out_of_the_sidecar_is_checked_again(tmp_path: Path) -> None:
    world = World({"path": "pipelock.allow_private_addresses", "value": "metadata.example.com"})
    with pytest.raises(BottleError, match="cannot be granted"):
        approval(tmp_path, world).approve("p-0000000001", "")
    assert world.file.read_text() == FILE
    assert world.steps == []


def test_approved_with_an_edit_and_for_a_limited_time(tmp_path: Path) -> None:
    world = World(ROUTE)
    approvals = approval(tmp_path, world)
    edit = {
        "path": "egress.routes",
        "value": {"host": "a.example.com", "path": ["/y"], "methods": ["GET"], "token_ref": "T"},
    }
    approvals.approve("p-0000000001", "", edit, 3600)
    route = yaml.safe_load(world.file.read_text())["config"]["claude-bottle:bottle"]["egress"]["routes"][1]
    assert {**route, "until": ""} == {**edit["value"], "until": ""}  # type: ignore[dict-item]
    assert route["until"].endswith("Z")
    for wrong in ([], {"path": "git", "value": {}}, {"path": "egress.routes", "value": {"host": "*"}}):
        with pytest.raises(BottleError):
            approvals.change(world.proposal, wrong)
    with pytest.raises(BottleError, match="limited time"):
        approvals.change(Proposal("p", 0.0, "t", {"path": "agent.apt", "value": "jq"}, "", {}), None, 60)


PROJECT = """config:
  claude-bottle:bottle:
    egress:
      routes:
        - {host: api.github.com, path: [/repos/acme/project], methods: [GET], token_ref: GITHUB_TOKEN}
"""
ISSUES = {"host": "api.github.com", "path": ["/repos/acme/project/issues"], "methods": ["POST"]}
POST = {
    "method": "POST",
    "host": "api.github.com",
    "path": "/repos/acme/project/issues",
    "reason": "method_not_declared",
}


def decided(file: Path, method: str, path: str = "/repos/acme/project/issues") -> str:
    """What egress would do with a call to GitHub: the credential that goes with it, or why it does not go."""
    raw = yaml.safe_load(file.read_text())["config"]["claude-bottle:bottle"]
    plan = RouteTableFile.of(Manifest.model_validate(raw))
    table = RouteTable.parse(plan.table.encode())
    verdict = table.decide(scheme="https", host="api.github.com", port=443, method=method, path=path)
    refs = {slot: ref for ref, slot in plan.slots.items()}
    return verdict.reason if isinstance(verdict, Refusal) else refs.get(str(verdict.slot), "without")


def asked(tmp_path: Path, value: dict[str, Any], request: dict[str, Any]) -> tuple[World, Approval]:
    world = World({"path": "egress.routes", "value": value}, request)
    approvals = approval(tmp_path, world)
    world.file.write_text(PROJECT)
    return world, approvals


def test_a_yes_takes_nothing_away_and_goes_with_the_credential_around_it(tmp_path: Path) -> None:
    world, approvals = asked(tmp_path, ISSUES, POST)
    assert approvals.gain(world.proposal).endswith("POST on /repos/acme/project/issues, with your GITHUB_TOKEN")
    assert approvals.notes(world.proposal, approvals.change(world.proposal)) == []
    assert (decided(world.file, "GET"), decided(world.file, "POST")) == ("GITHUB_TOKEN", "method_not_declared")
    assert approvals.approve("p-0000000001", "") == ""
    assert (decided(world.file, "GET"), decided(world.file, "POST")) == ("GITHUB_TOKEN", "GITHUB_TOKEN")
    assert decided(world.file, "POST", "/repos/acme/project/labels") == "method_not_declared"
    assert decided(world.file, "GET", "/repos/acme/project") == "GITHUB_TOKEN"
    assert list(Audit("s").records())[-1]["change"]["value"]["token_ref"] == "GITHUB_TOKEN"


def test_the_owners_words_about_the_credential_are_taken_as_they_are(tmp_path: Path) -> None:
    world, approvals = asked(tmp_path, ISSUES, POST)
    edit = {"path": "egress.routes", "value": ISSUES}
    assert approvals.change(world.proposal, edit).in_words().endswith(", without a credential")
    approvals.approve("p-0000000001", "", edit)
    assert (decided(world.file, "GET"), decided(world.file, "POST")) == ("GITHUB_TOKEN", "without")


def test_a_yes_for_a_limited_time_leaves_what_was_there_for_good(tmp_path: Path) -> None:
    world, approvals = asked(tmp_path, {**ISSUES, "methods": ["GET", "POST"]}, POST)
    approvals.approve("p-0000000001", "", seconds=3600)
    now = world.file.read_text()
    assert now.count("until") == 1
    world.file.write_text(re.sub(r"until: '?[0-9TZ:-]+'?", "until: '2020-01-01T00:00:00Z'", now))
    assert (decided(world.file, "GET"), decided(world.file, "POST")) == ("GITHUB_TOKEN", "method_not_declared")


def test_what_does_not_pass_by_an_approval_is_never_told_to_try_again(tmp_path: Path) -> None:
    world, approvals = asked(tmp_path, ISSUES, {**POST, "path": "/repos/acme/other"})
    assert approvals.notes(world.proposal, approvals.change(world.proposal))[0].startswith(
        "this change does not allow the refused request"
    )
    assert approvals.approve("p-0000000001", "").startswith(STILL_REFUSED)
    leads_inside = World(ROUTE, REQUEST)
    leads_inside.replay = lambda _: {"status": 403, "reason": "ssrf_private_ip"}  # type: ignore[method-assign]
    note = approval(tmp_path, leads_inside).approve("p-0000000001", "")
    assert note.startswith(STILL_REFUSED)
    assert "pipelock.allow_private_addresses" in note


@pytest.mark.parametrize("reason", ["starting", "busy", "next_hop"])
def test_a_retry_that_is_refused_for_the_moment_says_nothing_against_the_change(tmp_path: Path, reason: str) -> None:
    world = World(ROUTE, REQUEST)
    world.replay = lambda _: {"status": 503, "reason": reason}  # type: ignore[method-assign]
    note = approval(tmp_path, world).approve("p-0000000001", "")
    assert f"refused for the moment: {reason}; " in note
    assert "try again" in note
    assert "It is in force; try again." in answer(world.proposal)


def test_a_change_is_read_from_a_file_or_from_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit = json.dumps({"path": "egress.routes", "value": {"host": "b.example.com", "methods": ["GET"]}})
    file = tmp_path / "change.yaml"
    file.write_text(edit)
    for verb in ("preview", "approve"):
        for source in (str(file), "-"):
            world = World(ROUTE)
            folder = tmp_path / f"{verb}{source == '-'}"
            folder.mkdir()
            approvals = approval(folder, world)
            monkeypatch.chdir(folder)
            monkeypatch.setattr(ask, "_approval", lambda _, one=approvals: one)
            done = CliRunner().invoke(ask.app, [verb, "s", "p-0000000001", "--change", source], input=edit)
            assert not done.exception, done.output
            text = done.output if verb == "preview" else world.file.read_text()
            assert "b.example.com" in text
            assert "a.example.com" not in text


def test_what_would_take_something_away_is_not_made(tmp_path: Path) -> None:
    other = {"host": "api.github.com", "path": ["/REPOS/acme/project"], "methods": ["GET"]}
    world, approvals = asked(tmp_path, other, {})
    with pytest.raises(BottleError, match="cannot be granted: no route allows GET /REPOS/acme/project"):
        approvals.approve("p-0000000001", "")
    assert world.file.read_text() == PROJECT
    assert world.steps == []
    assert world.proposal.verdict == "pending"
    assert "cannot be granted" in proposal_text.show(approvals, world.proposal)


def test_the_agent_cannot_set_an_end_or_a_token(tmp_path: Path) -> None:
    for value in (
        {"host": "a.example.com", "until": "2030-01-01T00:00:00Z"},
        {"host": "a.example.com", "token_ref": "T"},
    ):
        with pytest.raises(ChangeError):
            Change.read({"path": "egress.routes", "value": value})
    with pytest.raises(ChangeError):
        Change.read({"path": "pipelock.allow", "value": {"host": "a.example.com", "until": "2030-01-01T00:00:00Z"}})


def test_what_has_ended_is_taken_out_and_can_be_given_again(tmp_path: Path) -> None:
    over, on = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"
    text = changed(FILE, Change.read(ROUTE).ending(over))
    text = changed(text, Change("pipelock.allow", {"host": "b.example.com", "until": on}))
    again = changed(text, Change.read(ROUTE).ending(on))
    assert again.count("a.example.com") == 1
    assert over not in again
    swept = without_ended(text)
    assert "a.example.com" not in swept
    assert "b.example.com" in swept
    assert without_ended(FILE) == FILE
    world = World(ROUTE)
    approvals = approval(tmp_path, world)
    world.file.write_text(text)
    assert sweep(approvals)
    assert world.file.read_text() == swept
    assert world.steps == [("up", "without")]
    assert not sweep(approvals)


def test_a_sweep_brings_nothing_in_the_place_of_what_has_ended() -> None:
    """Neither the rights of a wider route, nor another kind of bottle."""
    over = '"2020-01-01T00:00:00Z"'
    head = "config:\n  claude-bottle:bottle:\n    pipelock: {allow: [b.example.com]}\n    egress:\n      routes:\n"
    ended = f"        - {{host: a.example.com, path: [/x], methods: [GET], token_ref: T, until: {over}}}\n"
    swept = yaml.safe_load(without_ended(head + ended))["config"]["claude-bottle:bottle"]
    assert swept == {"pipelock": {"allow": ["b.example.com"]}, "egress": {"routes": []}}
    assert Manifest.model_validate(swept).routed
    # The last one has no credential, and what the agent brings along would no longer be taken out there.
    for wider in (
        "{host: a.example.com, token_ref: T}",
        '{host: "*.example.com"}',
        "{host: a.example.com, path: [/y]}",
    ):
        text = f"{head}        - {wider}\n{ended}"
        assert without_ended(text) == text
    harmless = f"{head}        - {{host: a.example.com, path: [/y], token_ref: T}}\n{ended}"
    assert "/x" not in without_ended(harmless)


def test_an_edit_changes_its_own_path_and_nothing_else() -> None:
    """What a file says in two places by one alias is not edited in both."""
    head = "config:\n  claude-bottle:bottle:\n"
    both = head + "    pipelock:\n      allow_private_addresses: &corp [a.example.com]\n      allow: *corp\n"
    elsewhere = head + "    pipelock: {allow: &corp [a.example.com]}\n  other:hosts: *corp\n"
    methods = "        - {host: %s.example.com, methods: %s}\n"
    routes = head + "    egress:\n      routes:\n" + methods % ("a", "&m [GET]") + methods % ("c", "*m")
    merged = (
        head
        + "    egress:\n      routes:\n        - &r {host: a.example.com, methods: [GET]}\n        - {<<: *r, host: c.example.com}\n"
    )
    allow, wish = Change("pipelock.allow", "b.example.com"), {"host": "a.example.com", "methods": ["POST"]}
    for text, change in (
        (both, allow),
        (elsewhere, allow),
        (routes, Change("egress.routes", wish)),
        (merged, Change("egress.routes", wish)),
    ):
        with pytest.raises(BottleError, match="more than intended"):
            changed(text, change)
    harmless = head + "    env: {A: &x one, B: *x}\n    pipelock: {allow: [a.example.com]}\n"
    assert "b.example.com" in changed(harmless, allow)


def test_an_approval_and_a_sweep_apply_nothing_of_which_nobody_has_spoken(tmp_path: Path) -> None:
    world = World(ROUTE, REQUEST)
    approvals = approval(tmp_path, world)
    world.waits = Previewed(["+ the agent gains b.example.com"], ["update Command workspace"])
    with pytest.raises(
        WaitingError, match=r"waits to be applied(.|\n)*gains b.example.com\npulumi: update Command workspace"
    ):
        approvals.approve("p-0000000001", "")
    assert (world.file.read_text(), world.steps, ApprovalJournal("s").in_progress(), events()) == (FILE, [], None, [])
    ended = changed(FILE, Change.read(ROUTE).ending("2020-01-01T00:00:00Z"))
    world.file.write_text(ended)
    with pytest.raises(WaitingError):
        sweep(approvals)
    assert (world.file.read_text(), world.steps) == (ended, [])
    world.file.write_text(FILE)
    approvals.approve("p-0000000001", "", others=True)
    assert world.proposal.verdict == "approved"
    once = World(ONCE)  # a grant runs no `up`, so nothing comes along
    once.waits = world.waits
    approval(tmp_path, once).approve("p-0000000001", "")
    assert once.proposal.verdict == "approved"


def test_a_page_never_changes_a_token(tmp_path: Path) -> None:
    """Its variables are those of its start: a token that was rotated since then would come back."""
    world = World(ROUTE, REQUEST)
    words = "~ the secret GH has another value than the one in use"
    world.waits = Previewed([words], ["replace Container s-egress-container"], [words])
    approvals = approval(tmp_path, world)
    page = replace(approvals, where=ON_PAGE)
    for others in (False, True):
        with pytest.raises(BottleError, match=r"Run ./bottle up s, then(.|\n)*GH"):
            page.approve("p-0000000001", "", others=others)
    world.file.write_text(changed(FILE, Change.read(ROUTE).ending("2020-01-01T00:00:00Z")))
    with pytest.raises(BottleError):
        sweep(page)
    world.file.write_text(FILE)
    assert world.steps == []
    approvals.approve("p-0000000001", "", others=True)  # a shell of one's own
    assert world.proposal.verdict == "approved"


def test_a_sweep_that_waits_looks_again_when_the_file_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def waiting(approval: Approval) -> bool:
        tried.append(approval.stack)
        raise WaitingError("x")

    monkeypatch.setattr(server, "sweep", waiting)
    world = World(ROUTE)
    approvals, page = approval(tmp_path, world), server.Dashboard(tmp_path, port=1, token="t")
    for _ in range(3):
        page._sweep(approvals)
    world.file.write_text(FILE + "# edited\n")
    page._sweep(approvals)
    assert tried == ["s", "s"]


def test_an_audit_log_that_was_touched_is_noticed(tmp_path: Path) -> None:
    log = Audit("s")
    log.append(*({"event": "approved", "id": f"p-{n}"} for n in range(3)))
    log.append({"event": "rejected", "id": "p-9"})
    assert log.verify()[0] == 4
    assert log.file.stat().st_mode & 0o077 == 0
    whole = log.file.read_bytes().splitlines(keepends=True)

    def refused(lines: list[bytes], why: str) -> None:
        log.file.write_bytes(b"".join(lines))
        with pytest.raises(BottleError, match=why):
            log.verify()

    refused([whole[0], whole[1].replace(b"p-1", b"p-7"), *whole[2:]], "record 2 has been changed")
    refused([whole[0], *whole[2:]], "record 2 does not follow")
    refused(whole[:3], "ends at record 3, but 4 were written")
    refused([*whole[:2], b"x\n", *whole[2:]], "is not a record")
    forged = {**json.loads(whole[3]), "id": "p-8"}
    refused([*whole[:3], json.dumps(forged).encode() + b"\n"], "record 4 has been changed")
    # What a killed writer has left of a line was never promised.
    log.file.write_bytes(b"".join(whole) + b'{"event": "appr')
    log.append({"event": "approved", "id": "p-10"})
    assert log.verify()[0] == 5
    assert log.has("approved", "p-10", time.time())
    assert not log.has("approved", "p-9", time.time())
