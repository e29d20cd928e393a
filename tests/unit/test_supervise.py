"""Changes that can be asked for, the store of proposals, and edits of a stack file that keep what people wrote."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from asked import FILE, ROUTE
from mocked import compose

from claude_bottle.approvals.edit.stack_file import StackFile, changed
from claude_bottle.manifest.change import Change, ChangeError
from claude_bottle.manifest.model import Manifest
from claude_bottle.policy.errors import BottleError, printable
from claude_bottle.policy.proposals import MAX_PENDING, MAX_PER_HOUR, LimitError, Proposals


@pytest.mark.parametrize(
    "value",
    [
        None, [], {}, {"path": "egress.routes"}, {"path": "git", "value": {}}, {"path": "env", "value": {}},
        {"path": "pipelock.passthrough", "value": "a.example.com"}, {"path": "pipelock.allow_private_addresses", "value": "a.example.com"},
        {"path": "agent.dockerfile", "value": "x"}, {"path": "workspace.path", "value": "/"},
        {"path": "egress.routes", "value": {"host": "a.example.com", "token_ref": "T"}},
        {"path": "egress.routes", "value": {"host": "*"}}, {"path": "egress.routes", "value": "a.example.com"},
        {"path": "agent.apt", "value": "x y"}, {"path": "agent.memory", "value": 3}, {**ROUTE, "more": 1},
        {"path": "supervise", "value": False}, {"path": "pipelock.allow", "value": "a.example.com\ntrusted: [b]"},
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for(value: Any) -> None:
    with pytest.raises(ChangeError):
        Change.read(value)


def test_a_change_on_a_manifest() -> None:
    change = Change.read(ROUTE)
    manifest = {"egress": {"routes": [{"host": "b.example.com"}]}}
    result = change.on(manifest)
    assert [route["host"] for route in result["egress"]["routes"]] == ["b.example.com", "a.example.com"]
    assert len(manifest["egress"]["routes"]) == 1
    assert change.on(result) == result
    assert "reach a.example.com: GET on /x" in change.in_words()
    assert Change.read({"path": "agent.memory", "value": "8g"}).on({})["agent"] == {"memory": "8g"}


def test_an_edit_keeps_comments_order_and_quotes() -> None:
    after = changed(FILE, Change.read(ROUTE))
    for line in FILE.splitlines():
        assert line in after.splitlines()
    routes = yaml.safe_load(after)["config"]["claude-bottle:bottle"]["egress"]["routes"]
    assert [route["host"] for route in routes] == ["api.anthropic.com", "a.example.com"]
    assert changed(after, Change.read(ROUTE)) == after
    flat = yaml.safe_dump(yaml.safe_load(FILE))  # lists without an indentation of their own
    assert set(flat.splitlines()) < set(changed(flat, Change.read(ROUTE)).splitlines())
    small = changed(FILE, Change.read({"path": "agent.apt", "value": "jq"}))
    assert yaml.safe_load(small)["config"]["claude-bottle:bottle"]["agent"] == {"memory": "2g", "apt": ["jq"]}
    with pytest.raises(BottleError):
        changed("config: {}\n", Change.read(ROUTE))


def test_an_edit_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    file = StackFile(tmp_path / "Pulumi.x.yaml")
    file.path.write_text("one")
    file.replace("one", "two")
    assert file.read() == "two"
    with pytest.raises(BottleError, match="edited in the meantime"):
        file.replace("one", "three")
    assert [path.name for path in tmp_path.iterdir()] == ["Pulumi.x.yaml"]
    assert file.read() == "two"


def test_proposals_are_kept_limited_and_decided_once(tmp_path: Path) -> None:
    store = Proposals(tmp_path / "db")
    one = store.add("egress-block", ROUTE, "why", {})
    assert store.add("egress-block", ROUTE, "again", {}).id == one.id
    assert Proposals(tmp_path / "db").get(one.id) == one
    assert store.decide(one.id, "approved", "ok")
    assert not store.decide(one.id, "rejected", "no")
    kept = store.get(one.id)
    assert kept is not None
    assert (kept.verdict, kept.reply) == ("approved", "ok")
    with pytest.raises(ValueError, match="approved or rejected"):
        store.decide(one.id, "done", "")
    with pytest.raises(LimitError, match="too long"):
        store.add("t", {}, "x" * 5000, {})
    package = {"path": "agent.apt", "value": "jq"}
    asked = store.add("capability-block", package, "w", {})
    assert store.decide(asked.id, "approved", "ok", "note")
    again = store.add("capability-block", package, "w", {})  # the agent of the new container asks once more
    assert (again.id, again.verdict, again.note) == (asked.id, "approved", "note")
    for number in range(MAX_PENDING):
        store.add("t", {"n": number}, "w", {})
    with pytest.raises(LimitError, match="waiting for the owner"):
        store.add("t", {"n": "more"}, "w", {})
    for proposal in store.all():
        store.decide(proposal.id, "rejected", "")
    with pytest.raises(LimitError, match="an hour"):
        for number in range(100):
            store.decide(store.add("t", {"m": number}, "w", {}).id, "rejected", "")


def test_the_agents_words_draw_nothing_on_a_terminal() -> None:
    assert printable("\x1b[2Jhello\x07\nthere\u202e") == "�[2Jhello�\nthere�"


def test_supervise_is_on_the_agents_network_alone_and_holds_nothing() -> None:
    recorder, outputs = compose({"supervise": True, "pipelock": {"allow": ["a.example.com"]}})
    container = recorder.container("supervise")
    assert [n["aliases"] for n in container.inputs["networksAdvanced"]] == [["supervise"]]
    assert "network-agent" in container.inputs["networksAdvanced"][0]["name"]
    assert [item["file"] for item in container.inputs["uploads"]] == ["/etc/supervise/ca.pem"]
    assert outputs["plan"]["supervise"]["image"].startswith("claude-bottle/supervise:")
    absent, _ = compose({"supervise": False, "pipelock": {"allow": ["a.example.com"]}})
    assert "supervise" not in str([r.inputs.get("hostname") for r in absent.all(":Container")])
    assert Manifest().supervise is True


def test_proposals_of_a_clock_that_was_ahead_block_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """date(1): a clock is put right by an hour, and sixty proposals are dated later than now."""
    store, now = Proposals(tmp_path / "p.db"), time.time()
    monkeypatch.setattr("claude_bottle.policy.proposals.time.time", lambda: now + 3600)
    for number in range(MAX_PER_HOUR):
        proposal = store.add("t", {"path": "x", "value": number}, "w", {})
        store.decide(proposal.id, "rejected", "no")
    with pytest.raises(LimitError):
        store.add("t", {"path": "x", "value": "more"}, "w", {})
    monkeypatch.setattr("claude_bottle.policy.proposals.time.time", lambda: now)
    assert store.add("t", {"path": "x", "value": "more"}, "w", {}).verdict == "pending"
