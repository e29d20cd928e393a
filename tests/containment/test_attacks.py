"""The table of attacks, run as `node` and as root in the agent, judged by what arrived outside."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import arena as module
import pytest

pytestmark = pytest.mark.docker

# mutations.py leaves out what would reach a real address once the network layer is gone.
LEFT_OUT = os.environ.get("CLAUDE_BOTTLE_LEAVE_OUT", "").split()
ROWS = [row for row in module.table() if row["id"] not in LEFT_OUT]
USERS = ("node", "0")
LAYERS = {
    "none", "network", "dns", "egress-routes", "egress-ports", "egress-host", "egress-agreement", "egress-http", "egress-paths",
    "egress-git", "egress-tokens", "pipelock-addresses", "pipelock-dlp", "supervise", "git-gate", "hardening",
}  # fmt: skip


class Outcome:
    """What came back to the attacker, and all that was seen outside."""

    def __init__(self, arena: module.Arena) -> None:
        self.run = arena.run
        self.got = {user: arena.attack(user, module.prepared(arena, user, ROWS)) for user in USERS}
        self.arrived = "\n".join(line["data"] for line in arena.arrived()).lower()
        self.received = arena.arrived()
        self.frames = arena.frames()
        self.outside, self.chain = arena.facts["bridge_outside"], arena.facts["bridge_chain"]
        self.strangers = [
            frame for frame in self.frames
            if frame["on"] == self.outside and frame["from"] not in arena.allowed_outside and frame["protocol"] != 2
        ]  # fmt: skip
        self.heard_on_host = list(arena.heard_on_host)

    def leaks(self, word: str) -> list[str]:
        """Where outside this canary was seen."""
        places = ["sink"] if word in self.arrived else []
        places += [
            f"{f['on']} {f['from']} → {f['to']}"
            for f in self.frames
            if word in f.get("data", "").lower() and self._out(f)
        ]
        return places + [text for text in self.heard_on_host if word in text]

    def _out(self, frame: dict[str, Any]) -> bool:
        return bool(frame["on"] == self.outside)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    with module.arena(tmp_path_factory.mktemp("project")) as arena:
        yield Outcome(arena)


def test_the_table_is_whole() -> None:
    assert len(ROWS) >= 120
    assert len({row["id"] for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row["layer"] in LAYERS
        assert row["expect"] in ("none", "token", "shut", "pass")
        assert (
            "{canary" in json.dumps(row["how"])
            or "{secret" in json.dumps(row["how"])
            or row["expect"] in ("token", "shut")
        )


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])
def test_attack(outcome: Outcome, row: dict[str, Any], user: str) -> None:
    got = outcome.got[user][row["id"]]
    leaks = outcome.leaks(module.canary(outcome.run, ROWS.index(row), user))
    if row["expect"] == "pass":
        assert "sink" in leaks, f"the control did not arrive: {got[:500]}"
        return
    assert leaks == [], f"{leaks}; the attacker saw: {got[:500]}"
    raw = got.encode("latin-1", "replace")
    assert not [form for form in module.token_forms() if form in raw], got[:500]
    if row["expect"] == "shut":
        assert "ESCAPED" not in got, got[:500]
        assert "CONNECTED" not in got, got[:500]


def test_nobody_else_was_on_the_outside_network(outcome: Outcome) -> None:
    assert outcome.strangers == []
    assert outcome.heard_on_host == []


def test_tokens_went_to_their_own_host_and_path_only(outcome: Outcome) -> None:
    # Over TLS, and to the path of its route: a positive control as well.
    with_a = [line for line in outcome.received if module.KEY_A in line["data"]]
    with_b = [line for line in outcome.received if module.KEY_B in line["data"]]
    assert with_a
    assert with_b
    for lines, path in ((with_a, "/a"), (with_b, "/b")):
        for line in lines:
            assert line["kind"] == "tls"
            assert line["data"].split(" ")[1].startswith(path)
            assert "\r\nhost: keyed.example.com\r\n" in line["data"].lower()
    assert not [frame for frame in outcome.frames if "key-" in frame.get("data", "")]
