"""The page's server: who may talk to it, what it tells of logs, and that text of an agent stays text."""

from __future__ import annotations

import asyncio
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from asked import FILE, ROUTE
from starlette.testclient import TestClient

from claude_bottle.approvals import resume
from claude_bottle.approvals.audit.decisions import Line, read_line
from claude_bottle.approvals.audit.from_logs import for_audit, since_of
from claude_bottle.approvals.audit.log import Audit
from claude_bottle.approvals.edit.stack_file import changed
from claude_bottle.approvals.owner_input import as_yaml, from_yaml, gain, seconds, stack_name
from claude_bottle.cli.ask import edited
from claude_bottle.engines.docker.engine import ContainerStatus
from claude_bottle.host.stack_names import stack_names
from claude_bottle.manifest.change import Change
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.replay import can_be_replayed, replay
from dashboard import server

TOKEN = "t" * 43
HOST = "127.0.0.1:7690"
ORIGIN = {"origin": f"http://{HOST}", "content-type": "application/json"}


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks/Pulumi.s.yaml").write_text(FILE)
    dashboard = server.Dashboard(tmp_path, port=7690, token=TOKEN)
    dashboard.app.dashboard = dashboard  # type: ignore[attr-defined]
    return TestClient(dashboard.app, base_url=f"http://{HOST}", follow_redirects=False)


@pytest.fixture
def inside(client: TestClient) -> TestClient:
    assert client.get(f"/?token={TOKEN}").status_code == 303
    return client


def test_the_token_becomes_a_cookie_and_leaves_the_address(client: TestClient) -> None:
    assert client.get("/").status_code == 403
    assert client.get("/?token=wrong").status_code == 403
    answer = client.get(f"/?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    page = client.get("/")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["x-frame-options"] == "DENY"
    assert "unsafe" not in page.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/", "/api/events", "/page/app.js", "/api/s/audit", "/api/s/proposals/p-1"])
def test_nothing_without_the_cookie(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 403
    assert TOKEN not in answer.text
    client.cookies.set("claude-bottle-7690", "guess")
    assert client.get(path).status_code == 403
    assert client.get(path, params={"token": TOKEN}).status_code in (303, 403)


@pytest.mark.parametrize(
    "host", ["evil.example.com", "127.0.0.1:7691", "127.0.0.1", "localhost.evil.example.com:7690", ""]
)
def test_another_host_name_is_turned_away(inside: TestClient, host: str) -> None:
    assert inside.get("/", headers={"host": host}).status_code in (400, 421)
    assert inside.get("/api/s/audit", headers={"host": host}).status_code in (400, 421)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/json"},
        {**ORIGIN, "origin": "https://evil.example.com"}, {**ORIGIN, "origin": "null"},
        {**ORIGIN, "origin": "http://127.0.0.1:8080"}, {**ORIGIN, "origin": f"https://{HOST}"},
        {**ORIGIN, "content-type": "text/plain"}, {**ORIGIN, "content-type": "application/x-www-form-urlencoded"},
        {**ORIGIN, "sec-fetch-site": "cross-site"}, {**ORIGIN, "sec-fetch-site": "same-site"},
    ],
)  # fmt: skip
def test_another_site_changes_nothing(inside: TestClient, headers: dict[str, str]) -> None:
    for verb in ("approve", "reject", "preview"):
        answer = inside.post(f"/api/s/proposals/p-1/{verb}", headers=headers, content=b"{}")
        assert answer.status_code in (403, 415)
    assert inside.get("/api/s/proposals/p-1/approve").status_code == 405


def test_errors_are_words(inside: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("/api/none/audit", "/api/..%2f..%2fetc/audit", "/api/s/proposals/p-none"):
        answer = inside.get(path)
        assert answer.status_code in (404, 409), path
        if answer.status_code == 409:
            assert answer.json()["error"]
    answer = inside.post("/api/s/proposals/p-1/reject", headers=ORIGIN, content=b"[1]")
    assert answer.json() == {"error": "not a JSON object"}
    assert inside.post("/api/s/proposals/p-1/reject", headers=ORIGIN, content=b"x" * 70_000).json() == {
        "error": "too much text"
    }
    assert inside.get("/api/s/audit").json()["records"] == 0


PENDING = {"id": "p-1", "verdict": "pending", "reply": "", "note": "", "decided": 0.0, "at_work": True, "gain": "x"}


class Verdicts:
    """An Approval that takes every verdict."""

    def reject(self, *_: object) -> None: ...

    def approve(self, *_: object, **__: object) -> str:
        return "it passes, status 200"


@pytest.fixture
def page(client: TestClient, inside: TestClient, monkeypatch: pytest.MonkeyPatch) -> server.Dashboard:
    dashboard: server.Dashboard = client.app.dashboard  # type: ignore[attr-defined]
    monkeypatch.setattr(dashboard, "_approval", lambda *_: Verdicts())
    monkeypatch.setattr(dashboard, "_may_approve", lambda *_: None)
    dashboard.monitor.proposals = {"s": [dict(PENDING), {**PENDING, "id": "p-2"}]}
    return dashboard


def _verdicts(page: server.Dashboard) -> dict[str, str]:
    return {one["id"]: one["verdict"] for one in page.monitor.proposals["s"]}


def test_a_rejection_is_in_its_answer_at_once(page: server.Dashboard, inside: TestClient) -> None:
    """Supervise is asked again later: until then the page would show buttons that do nothing."""
    body = inside.post("/api/s/proposals/p-1/reject", headers=ORIGIN, json={"reply": "no"}).json()
    (mine, other) = body["proposals"]
    assert (mine["verdict"], mine["reply"], mine["at_work"]) == ("rejected", "no", False)
    assert other["verdict"] == "pending"
    assert _verdicts(page) == {"p-1": "rejected", "p-2": "pending"}


def test_an_approval_is_told_before_it_is_done(page: server.Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(page.bus, "publish", lambda event, data: events.append(f"{event} {_verdicts(page)['p-1']}"))

    async def go() -> None:
        page._start("s", "p-1", "", Verdicts().approve)
        await asyncio.gather(*server._RUNNING)

    asyncio.run(go())
    assert events == ["proposals approved", "done approved"]


def test_what_was_read_before_a_verdict_does_not_undo_it(
    page: server.Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    up = {"role": "supervise", "health": "healthy", "status": "Up"}
    page.monitor.bottles = {"s": {"stack": "s", "declared": True, "parts": [up]}}

    def slow(*_: object) -> list[dict[str, Any]]:
        page.monitor.answered("s", "p-1", "approved", "")
        return [dict(PENDING), {**PENDING, "id": "p-2"}]

    monkeypatch.setattr("dashboard.monitor.proposals", slow)
    page.monitor.look_again()
    asyncio.run(page.monitor._look_at_proposals())
    assert _verdicts(page)["p-1"] == "approved"


def test_the_narrowest_time_is_the_first() -> None:
    text = (server.PAGE / "index.html").read_text()
    times = re.findall(
        r'<option value="(\d*[mhd]?)">', text.partition('<label class="for">')[2].partition("</label>")[0]
    )
    assert times == ["15m", "1h", "8h", "1d", "7d", ""]
    assert [seconds(one) for one in times[:-1]] == sorted(map(seconds, times[:-1]))


def test_examples_are_no_bottles(tmp_path: Path) -> None:
    (tmp_path / "stacks/examples").mkdir(parents=True)
    for name in ("mine", "examples/demo"):
        folder, _, stack = name.rpartition("/")
        (tmp_path / "stacks" / folder / f"Pulumi.{stack}.yaml").write_text("config: {}")
    assert stack_names(tmp_path / "stacks") == {"mine"}


def test_an_emptied_edit_is_not_the_agents_wish() -> None:
    assert server._edit({}) is None
    assert server._edit({"change": "path: a"}) == {"path": "a"}
    for empty in ("", "  \n", "# only a comment"):
        with pytest.raises(BottleError, match="empty"):
            server._edit({"change": empty})


def test_the_page_has_no_outside_asset_and_shows_text_as_text() -> None:
    for file in server.PAGE.iterdir():
        text = file.read_text()
        assert "innerHTML" not in text.replace("No innerHTML anywhere", "")
        assert not [
            word
            for word in ("outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=", "onclick")
            if word in text
        ]
        assert "https://" not in text
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")


def line(**fields: Any) -> str:
    return "2026-01-01T00:00:00.000000001Z " + json.dumps(fields)


def decision(text: str) -> Any:
    entry = read_line("s", text)
    return entry.decision if entry else None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"part": "egress", "decision": "refused", "reason": "host_not_declared", "method": "GET", "host": "a.b", "path": "/x"},
         ("refused", "host_not_declared", "GET a.b", "/x")),
        ({"part": "egress", "decision": "allowed", "route": "a.b", "injected": True, "method": "GET", "host": "a.b", "path": "/"},
         ("allowed", "a.b, token injected", "GET a.b", "/")),
        ({"part": "pipelock", "decision": "refused", "reason": "dlp_match", "method": "PUT", "host": "a.b", "path": "/secret"},
         ("refused", "dlp_match", "PUT a.b", "")),
        ({"part": "pipelock", "decision": "allowed", "host": "a.b", "passthrough": True}, ("allowed", "passthrough", "CONNECT a.b", "")),
        ({"part": "git-gate", "event": "push", "remote": "p", "verdict": "accepted", "refs": ["refs/heads/m"]},
         ("allowed", "", "push p", "refs/heads/m")),
        ({"part": "git-gate", "event": "push", "remote": "p", "verdict": "refused", "reason": "secret"}, ("refused", "secret", "push p", "")),
        ({"part": "supervise", "event": "proposed", "id": "p-1", "tool": "egress-block", "change": {"path": "egress.routes"}},
         ("asked", "egress-block", "p-1", "egress.routes")),
    ],
)  # fmt: skip
def test_decisions_from_logs(fields: dict[str, Any], expected: tuple[str, ...]) -> None:
    result = decision(line(**fields))
    assert result is not None
    assert (result.verdict, result.rule, result.what, result.path) == expected


@pytest.mark.parametrize("text", ["", "x", "2026 []", "2026 {}", line(part="egress", event="policy"), line(part="x", decision="allowed"),
                                  line(part="git-gate", verdict="odd"), line(part="supervise", event="approved"), "2026 " + "[" * 5000])  # fmt: skip
def test_other_lines_are_no_decisions(text: str) -> None:
    assert decision(text) is None


def test_what_an_agent_names_draws_nothing_and_ends_somewhere() -> None:
    result = decision(line(part="egress", decision="allowed", method="GET", host="\x1b[2Ja\nb", path="/" + "x" * 9000))
    assert result is not None
    assert "\x1b" not in result.what
    assert "\n" not in result.what
    assert len(result.path) == 300


def refused(host: str, n: int = 0, *, number: int = 0, run: str = "a", when: float = 1.0) -> Line:
    fields = {"part": "egress", "decision": "refused", "reason": "r", "method": "GET", "host": host, "path": f"/{n}"}
    entry = read_line("s", line(**fields, time=when, run=run, line=number))
    assert entry is not None
    return entry


def test_an_agent_cannot_fill_its_owners_disk_with_decisions() -> None:
    alike, _ = for_audit([refused("a.b", n, number=n + 1) for n in range(1000)], {})
    assert [(r["what"], r["count"], r["path"]) for r in alike] == [("GET a.b", 1000, "/0")]
    many, _ = for_audit([refused(f"h{n}.b", number=n + 1) for n in range(1000)], {})
    assert len(many) == 21
    assert many[-1]["not_recorded"] == 980
    assert many[-1]["read"] == {"until": "2026-01-01T00:00:00.000000001Z", "run": "a", "line": 1000}


def test_a_backlog_is_recorded_as_if_it_had_been_read_at_once() -> None:
    """Batches are the reader's, seconds are the decisions' own."""
    lines = [refused(f"h{n % 10}.b", number=n + 1, when=n // 10) for n in range(1000)]
    records, _ = for_audit(lines, {})
    assert len(records) == 1000
    assert not any("not_recorded" in record for record in records)
    assert [record["at"][:19] for record in records[::10]] == [
        f"1970-01-01T00:0{n // 60}:{n % 60:02}" for n in range(100)
    ]


def test_lines_that_are_gone_are_a_record() -> None:
    first, marks = for_audit([refused("a.b", number=n) for n in (1, 2, 3)], {})
    assert [record["event"] for record in first] == ["decision"]
    none, marks = for_audit([Line("egress", "2026-01-01T00:00:00.1Z", "a", 4)], marks)
    assert none == []
    records, marks = for_audit([refused("a.b", number=n) for n in (5, 9)], marks)
    assert [record.get("lines_missing") for record in records] == [None, 3]
    records, marks = for_audit([refused("a.b", number=1, run="b")], marks)
    assert [record["event"] for record in records] == ["decision"]
    records, marks = for_audit([refused("a.b", number=7, run="c")], marks)
    assert [record.get("lines_missing") for record in records] == [None, 6]


def at(line: Line, when: str) -> Line:
    return replace(line, at=f"2026-01-01T{when}Z")


def test_positions_are_places_so_a_clock_that_was_put_right_blinds_nobody() -> None:
    """The engine's clock was an hour ahead, is put right, and goes wrong the other way: nothing is missed or doubled."""
    ahead = [at(refused("a.b", number=n), "11:00:00") for n in (1, 2)]
    right = [at(refused("b.b", number=n), "10:00:00") for n in (3, 4)]
    records, marks = for_audit(ahead, {})
    records, marks = for_audit(right, marks)
    assert [(r["event"], r.get("what"), r.get("count")) for r in records] == [
        ("decision", "GET b.b", 2),
        ("clock", None, None),
    ]
    assert (records[1]["from"], records[1]["to"]) == ("2026-01-01T11:00:00Z", "2026-01-01T10:00:00Z")
    assert for_audit([*ahead, *right], marks)[0] == []
    again = [at(refused("c.b", number=1, run="b"), "09:00:00")]  # a new run of the process
    records, marks = for_audit(again, marks)
    assert [r["event"] for r in records] == ["decision", "clock"]
    assert for_audit([*ahead, *right, *again], marks)[0] == []
    assert for_audit([at(refused("d.b", number=2, run="b"), "09:00:01")], marks)[0][0]["event"] == "decision"


def test_a_log_is_read_again_from_before_the_mark() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
    assert since_of({"until": "2026-01-01T10:00:00.123456789Z"}, noon) == "2026-01-01T04:00:00Z"
    assert since_of({"until": "2038-01-19T03:14:08Z"}, noon) == "2026-01-01T06:00:00Z"  # a clock that was ahead
    assert since_of({}, noon) == ""


def test_two_pages_record_a_decision_once(tmp_path: Path) -> None:
    lines = [refused("a.b", number=n) for n in range(1, 9)]
    for batch in (lines[:5], lines, lines[3:], lines):
        Audit("s", tmp_path).append_from(lambda read, batch=batch: for_audit(batch, read)[0])
    records = list(Audit("s", tmp_path).records())
    assert sum(record["count"] for record in records) == 8
    assert Audit("s", tmp_path).verify()[0] == len(records)


def test_what_is_on_record_is_not_taken_from_the_log() -> None:
    fields = {"part": "egress", "decision": "allowed", "method": "POST", "host": "a.b", "path": "/", "record": 3}
    entry = read_line("s", line(**fields))
    assert entry is not None and entry.on_record and entry.decision is not None
    assert for_audit([entry], {})[0] == []


@pytest.mark.parametrize(
    ("status", "health"),
    [("Up 2 minutes (healthy)", "healthy"), ("Up 2 seconds (health: starting)", "starting"), ("Up 1 hour (unhealthy)", "unhealthy"),
     ("Up 3 minutes", "healthy"), ("Exited (137) 2 seconds ago", "stopped"), ("Up 2 minutes (Paused)", "stopped"), ("Created", "stopped")],
)  # fmt: skip
def test_health(status: str, health: str) -> None:
    assert ContainerStatus("s", "egress", "i", status).health == health


def test_terms() -> None:
    assert [seconds(text) for text in ("", "15m", "2h", "1d")] == [0, 900, 7200, 86400]
    for wrong in ("0m", "1w", "-1h", "1h30m", "h", " 1h"):
        with pytest.raises(BottleError):
            seconds(wrong)
    for wrong in ("", "../x", "a/b", "-s", "a b"):
        with pytest.raises(BottleError):
            stack_name(wrong)
    change = Change.read(ROUTE)
    assert from_yaml(as_yaml(change)) == change.to_json()
    for wrong in ("a: [", "a: +_"):
        with pytest.raises(BottleError, match="not YAML"):
            from_yaml(wrong)
    with pytest.raises(BottleError, match="is not YAML"):
        changed("config: +_\n", change)
    assert gain({"path": "x", "value": 1}).startswith("not valid")


@pytest.mark.parametrize(
    ("text", "folder"),
    [('"cwd":"/home/node/workspace"', "/home/node/workspace"), ('"cwd":"/x; rm -rf /"', ""), ('"cwd":"$(id)"', ""),
     ('"cwd":"/a\\nb"', ""), ("", ""), ('"cwd":3', "")],
)  # fmt: skip
def test_a_session_names_its_folder_and_nothing_else(text: str, folder: str) -> None:
    assert resume._folder(text) == folder


def test_replay_sends_only_what_is_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOTTLE_PROXY", "http://127.0.0.1:1")
    assert can_be_replayed({"method": "GET", "host": "a.example.com"})
    for request in ({}, {"method": "POST", "host": "a"}, {"method": "GET"}, {"method": "PUT", "host": "a"}):
        assert "error" in replay(request)
    assert "error" in replay({"method": "GET", "host": "a.example.com\r\nX: y", "path": "/"})


@pytest.mark.parametrize(
    ("header", "reason"), [("dlp_match", "dlp_match"), ("x\x1b[2Jy", None), ("a b", None), ("", None)]
)
def test_a_reason_is_one_word_whoever_sends_it(
    monkeypatch: pytest.MonkeyPatch, header: str, reason: str | None
) -> None:
    """An owner's terminal shows it (approvals/approval.py)."""

    class Connection:
        status = 403
        headers: ClassVar = {"x-pipelock-block-reason": header}

        def __init__(self, *_: object, **__: object) -> None: ...

        def _nothing(self, *_: object, **__: object) -> None: ...

        set_tunnel = request = close = _nothing

        def getresponse(self) -> Connection:
            return self

    monkeypatch.setenv("BOTTLE_PROXY", "http://127.0.0.1:1")
    monkeypatch.setattr("http.client.HTTPSConnection", Connection)
    monkeypatch.setattr("ssl.create_default_context", lambda **_: None)
    answer = replay({"method": "GET", "host": "a.example.com", "path": "/"})
    assert (answer["status"], answer.get("reason")) == (403, reason)


def test_an_editor_needs_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """vi(1) would wait for keys that nobody can type; EDITOR can name any program, so none is started."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr("subprocess.run", lambda *args, **kwargs: pytest.fail("an editor was started"))
    with pytest.raises(BottleError, match="--edit needs a terminal; give the change with --change FILE"):
        edited(Change("agent.memory", "8g"))
