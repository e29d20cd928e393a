"""The corrected layers within bounds, and what they do when something in them fails: see lab/bounds.py for each case."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from framing_lab import container

pytestmark = pytest.mark.docker

Told = dict[str, dict[str, Any]]
_FLOW_FAILED, _CONNECTION_FAILED = (
    "a layer failed, and its flow ends",
    "a layer failed, and its client's connection ends",
)


@pytest.fixture(scope="module")
def cases() -> Iterator[Told]:
    with container("lab.bounds") as process:
        assert process.stdout
        lines = iter(process.stdout.readline, "{}\n")
        yield {case.pop("case"): case for case in map(json.loads, lines)}


def test_no_case_failed(cases: Told) -> None:
    assert {name: case for name, case in cases.items() if "error" in case} == {}
    failed = ("request_stream_raises", "response_stream_raises", "stream_raises_at_the_end", "connection_raises")
    assert {name: case["logged"] for name, case in cases.items() if name not in failed and case["logged"]} == {}


@pytest.mark.parametrize("name", ["request_stream_raises", "response_stream_raises", "stream_raises_at_the_end"])
def test_a_stream_function_that_fails_ends_its_flow(cases: Told, name: str) -> None:
    case = cases[name]
    assert case["logged"] == [_FLOW_FAILED]
    assert case["closed"] == ["server", "client"]
    assert not case["whole"]
    assert not case.get("sent_after")
    assert not case.get("shown")
    assert case["hooks"][-1] == "error"


def test_a_connection_that_fails_is_closed(cases: Told) -> None:
    assert cases["connection_raises"]["logged"] == [_CONNECTION_FAILED]
    assert "client" in cases["connection_raises"]["closed"]
    assert cases["connection_raises"]["shown"] == 0


@pytest.mark.parametrize("name", ["refused_body_without_an_end", "answered_body_without_an_end"])
def test_a_refused_body_without_an_end_is_not_held_without_an_end(cases: Told, name: str) -> None:
    assert cases[name]["hooks"] == ["requestheaders", "request_overflow", "error"]
    assert cases[name]["closed"] == ["client"]
    assert cases[name]["to_server"] == 0
    assert cases[name].get("most", 0) <= 2 * 65536


def test_a_held_body_passes_once_an_addon_lets_it(cases: Told) -> None:
    assert cases["held_body_passes"]["whole"]
    assert cases["held_body_passes"]["answered"]
    assert cases["held_body_passes"]["closed"] == []


def test_what_waits_behind_a_request_has_a_bound(cases: Told) -> None:
    assert cases["pipelined_behind_a_request"]["most"] <= (1 << 20) + 65536
    assert "client" in cases["pipelined_behind_a_request"]["closed"]
    assert cases["few_pipelined_requests"]["answers"] == 20
    assert cases["few_pipelined_requests"]["closed"] == []


def test_heads_are_searched_once_and_empty_lines_do_not_pile_up(cases: Told) -> None:
    assert cases["heads_that_drip"]["requests"] == 2
    assert cases["heads_that_drip"]["searched"] < 20 * 3 * 8100
    assert cases["empty_lines_without_an_end"]["most"] <= 1
    assert cases["empty_lines_without_an_end"]["asked"] == 1


def test_a_packed_message_is_unpacked_within_the_bound(cases: Told) -> None:
    case = cases["packed_message_without_measure"]
    assert case["peak"] < 40 << 20
    assert case["closed"] == ["server", "client"]
    assert "websocket_message" not in case["hooks"]
    assert cases["packed_messages_within_measure"]["seen"] == [15 << 20, 54]
    assert cases["packed_messages_within_measure"]["closed"] == []


def test_a_ping_does_not_end_a_packed_message(cases: Told) -> None:
    assert cases["ping_within_a_packed_message"]["seen"] == ["one two three " * 9]


def test_a_long_session_keeps_no_message(cases: Told) -> None:
    assert cases["long_session"]["messages"] == 1000
    assert cases["long_session"]["kept"] == 0
    assert cases["long_session"]["most"] <= 2


def test_messages_in_many_pieces_are_put_together_and_frames_counted(cases: Told) -> None:
    assert cases["message_in_many_pieces"]["seen"] == [10_000]
    assert cases["frames_without_an_end"]["closed"] == ["server", "client"]
    assert "websocket_message" not in cases["frames_without_an_end"]["hooks"]
