"""What the owner has been shown of a held content, and that nothing unseen is approved by accident."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from claude_bottle.approvals.held import HeldContent, Seen
from claude_bottle.cli import ask, proposal_text
from claude_bottle.manifest.change import Change
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.once import Once, digest_of
from claude_bottle.policy.proposals import Proposal
from dashboard.server import Dashboard

DIGEST = digest_of(b"a push")
PUSH = Change.read({"path": "git.review", "value": DIGEST}, owner=True)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


class Holder:
    """The sidecar's side, without a sidecar; and the inbox that the terminal asks."""

    def __init__(self, folder: Path) -> None:
        self.once = Once(folder / "once")
        self.parts: list[str] = []

    def held(self, part: str, digest: str) -> dict[str, Any] | None:
        self.parts.append(part)
        return self.once.held(digest)

    def page(self, part: str, digest: str, number: int) -> dict[str, Any] | None:
        return self.once.page(digest, number)

    def get(self, _: str) -> Proposal:
        return Proposal("p-0000000001", 0.0, "capability-block", PUSH.to_json(), "w", {})


class Approving:
    """As much of an approval as the verbs need."""

    def __init__(self, holder: Holder) -> None:
        self.inbox, self.stack = holder, "s"
        self.approved: list[str] = []

    def change(self, *_: Any) -> Change:
        return PUSH

    def approve(self, identity: str, *_: Any, others: bool = False) -> str:
        self.approved.append(identity)
        return ""


@pytest.fixture
def holder(tmp_path: Path) -> Holder:
    inbox = Holder(tmp_path)
    inbox.once.hold(DIGEST, {"what": "push to p"}, ["one\x1b", "two", "three"])
    return inbox


def content(holder: Holder) -> HeldContent:
    return HeldContent(holder, "s", PUSH)


def test_pages_are_shown_and_counted(holder: Holder) -> None:
    assert str(content(holder).unseen()) == "3 of 3 pages"
    first = content(holder).show()
    assert (first["what"], first["text"], first["pages"]) == ("push to p", "one\ufffd", 3)
    assert first["unseen"] == {"count": 2, "text": "2 of 3 pages"}
    assert content(holder).show(1)["unseen"]["count"] == 2
    content(holder).show(3)
    with pytest.raises(BottleError, match="1 of 3 pages have not been shown"):
        content(holder).must_be_seen(0)
    content(holder).must_be_seen(None)
    content(holder).must_be_seen(1)
    assert content(holder).show(2)["unseen"] == {"count": 0, "text": ""}
    content(holder).must_be_seen(0)
    assert set(holder.parts) == {"git-gate"}
    for wrong in (0, -1, 4):
        with pytest.raises(BottleError, match="there is no page"):
            content(holder).show(wrong)


@pytest.mark.parametrize(
    ("about", "unseen"),
    [
        ({"excerpt": "short", "size": 5}, 0), ({"excerpt": "x" * 8192, "size": 9000}, 808),
        ({"excerpt": "(gzip)", "size": 400}, 400), ({"excerpt": "é", "size": 2}, 0), ({"excerpt": "", "size": 0}, 0),
        ({"excerpt": "\ufffd" * 10, "size": 20}, 10),
    ],
)  # fmt: skip
def test_an_excerpt_of_a_request_is_not_the_whole_of_it(holder: Holder, about: dict[str, Any], unseen: int) -> None:
    other = digest_of(b"a request")
    holder.once.hold(other, {"what": "POST https://x", **about})
    held = HeldContent(holder, "s", Change.read({"path": "pipelock.once", "value": other}, owner=True))
    assert held.unseen().count > 0
    assert held.show()["unseen"]["count"] == unseen


def test_what_is_gone_says_so(holder: Holder) -> None:
    (holder.once._folder / f"{DIGEST}.held").unlink()
    with pytest.raises(BottleError, match="no longer held"):
        content(holder).show()
    content(holder).must_be_seen(0)  # approving it fails where it is granted


def test_what_was_shown_is_remembered_for_a_number_of_contents(holder: Holder) -> None:
    for number in range(300):
        Seen("s").add(f"d{number}", 1)
    assert Seen("s").of("d299") == {1}
    assert Seen("s").of("d0") == set()
    assert Seen("other").of("d299") == set()


def test_the_terminal_approves_nothing_unseen_by_accident(holder: Holder, capsys: pytest.CaptureFixture[str]) -> None:
    approving: Any = Approving(holder)

    def approve(*, unseen: bool = False) -> None:
        ask.approve_seen(approving, "p-0000000001", "", None, 0, others=False, unseen=unseen)

    with pytest.raises(
        BottleError,
        match=r"3 of 3 pages .*: \./bottle ask show s p-0000000001 --page N, or \./bottle ask approve .* --unseen",
    ):
        approve()
    assert "2 of 3 pages have not been shown to you" in proposal_text.content(content(holder), 1, "s", "p-0000000001")
    with pytest.raises(BottleError, match="2 of 3 pages"):
        approve()
    for page in (2, 3):
        proposal_text.content(content(holder), page, "s", "p-0000000001")
    approve()
    assert approving.approved == ["p-0000000001"]
    Seen("s")._file.unlink()
    approve(unseen=True)
    assert len(approving.approved) == 2


@pytest.mark.parametrize(("body", "passes"), [({}, False), ({"unseen": True}, False), ({"unseen": 1}, False),
                                              ({"unseen": 2}, True), ({"unseen": "2"}, False)])  # fmt: skip
def test_the_page_approves_unseen_what_its_box_names(
    holder: Holder, tmp_path: Path, body: dict[str, Any], passes: bool
) -> None:
    content(holder).show()
    dashboard, approving = Dashboard(tmp_path, port=1, token="t"), Approving(holder)
    if passes:
        dashboard._may_approve(approving, "p-0000000001", body)  # type: ignore[arg-type]
    else:
        with pytest.raises(BottleError, match="2 of 3 pages"):
            dashboard._may_approve(approving, "p-0000000001", body)  # type: ignore[arg-type]
