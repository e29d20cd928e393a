"""The one rule of the framing tests, told by what the client knows that it sent and never by the code under test.

Requests seen by the upstream = requests that the logs allowed, in number, method, path, host and body; equal to what
was sent where that was well-formed, a part of it in every case. An answer is that of its own request, byte for byte, or
can be seen to be broken.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from framing_lab import Outcome
from lab import wire

H1, H2, EITHER = ("http/1.1",), ("h2",), ("http/1.1", "h2")
# The proxies may leave an upstream within a message when they refuse it: then these are what it sees.
_CUT = ("the connection ends within a line", "the connection ends within a body")


@dataclass(frozen=True)
class Shape:
    """A way through the proxies. http: what the client speaks; upstream: what the server does."""

    name: str
    http: int
    host: str
    upstream: int
    via: str = "egress"

    @property
    def alpn(self) -> tuple[str, ...]:
        return H2 if self.http == 2 else (EITHER if self.upstream == 2 else H1)

    @property
    def parts(self) -> tuple[str, ...]:
        """Whose logs tell of a request."""
        if self.host in (wire.SPLICED, wire.SPLICED2):
            return ("egress",)
        return ("egress", "pipelock") if self.via == "egress" else ("pipelock",)


@dataclass(frozen=True)
class Sent:
    """A request as its client sent it. key: of its answer. seen: `must`, `may` or `never` arrive whole.

    status, content: what the server answers, where the client has to get that; status 0: any answer or none.
    """

    key: str
    method: str
    path: str
    body: bytes = b""
    trailers: tuple[str, ...] = ()
    seen: str = "must"
    status: int = 200
    content: bytes | None = None
    ends: tuple[str, ...] = ()  # trailers of the answer
    may_drop: bool = (
        False  # whether its trailers may be left out: where a length was told, HTTP/1.1 has no place for them
    )

    @property
    def expected(self) -> bytes:
        return wire.content(self.method, self.path) if self.content is None else self.content


@dataclass(frozen=True)
class Case:
    """Steps of a client (see lab/client1.py, lab/client2.py) and what it knows of them. source: of a public case.
    patience: seconds that it waits for each answer, where none may come.
    """

    name: str
    shape: Shape
    id: str
    steps: tuple[list[Any], ...]
    sent: tuple[Sent, ...] = ()
    source: str = ""
    quiet: float | None = None
    patience: float | None = None
    partial: bool = False  # whether something was sent besides `sent`

    def given(self) -> dict[str, Any]:
        shape = self.shape
        fields = {"id": self.id, "http": shape.http, "host": shape.host, "via": shape.via, "alpn": shape.alpn}
        timing = {"quiet": self.quiet, "patience": self.patience}
        return {**fields, "steps": self.steps, **{name: value for name, value in timing.items() if value}}


def violations(case: Case, outcome: Outcome) -> list[str]:
    """What is against the rule; empty for a case that keeps it."""
    problems = [*_upstream(case, outcome), *_logs(case, outcome), *_refused(case, outcome), *_answers(case, outcome)]
    if "failed" in outcome.result:
        problems.append(f"the case did not run: {outcome.result['failed']}")
    if "poison" in json.dumps(outcome.result):
        problems.append("the client got what is no answer to any request")
    return problems


def _upstream(case: Case, outcome: Outcome) -> Iterator[str]:
    missing = [sent for sent in case.sent if sent.seen != "never"]
    for line in outcome.seen:
        match = next((sent for sent in missing if _is(case, sent, line)), None)
        if match is None:
            yield f"the upstream saw what was not sent: {_short(line)}"
        else:
            missing.remove(match)
    for sent in missing:
        if sent.seen == "must":
            yield f"the upstream did not see {sent.method} {sent.path} with {len(sent.body)} bytes"
    if case.shape.http == 1:
        order, sent_paths = [line["path"] for line in outcome.seen], [sent.path for sent in case.sent]
        if order != [path for path in sent_paths if path in order]:
            yield f"in another order: {order}"
    for line in outcome.broken:
        if line["why"] not in _CUT or _is_clean(case):
            yield f"the upstream could not read what it got: {line['why']} {line.get('rest', '')[:100]!r}"


def _is_clean(case: Case) -> bool:
    """Whether all that was sent is well-formed and whole, and is answered so."""
    return bool(case.sent) and not case.partial and all(sent.seen == "must" and sent.status for sent in case.sent)


def _is(case: Case, sent: Sent, line: dict[str, Any]) -> bool:
    hosts = [value for name, value in line["fields"] if name == "host"]
    return bool(
        (line["method"], line["path"], hosts) == (sent.method, sent.path, [case.shape.host])
        and line["body"]["sha256"] == wire.digest(sent.body)["sha256"]
        and ([x.lower() for x in line["trailers"]] == [*sent.trailers] or (sent.may_drop and not line["trailers"]))
    )


def _logs(case: Case, outcome: Outcome) -> Iterator[str]:
    """The upstream saw no more than pipelock's log allows, and that no more than egress's."""
    before = Counter((line["method"], case.shape.host, line["path"].partition("?")[0][:300]) for line in outcome.seen)
    for part in reversed(case.shape.parts):
        lines = getattr(outcome, part)
        allowed = Counter((x["method"], x["host"], x["path"]) for x in lines if x.get("decision") == "allowed")
        if before - allowed:
            yield f"beyond what {part} logged as allowed: {dict(before - allowed)}"
        if _is_clean(case) and allowed - before:
            yield f"{part} logged as allowed what did not come: {dict(allowed - before)}"
        before = allowed


def _refused(case: Case, outcome: Outcome) -> Iterator[str]:
    """What may never arrive is not logged as allowed by the last that judges it."""
    for line in getattr(outcome, case.shape.parts[-1]):
        decision = (line.get("decision"), line.get("method"), line.get("path"))
        if any(decision == ("allowed", sent.method, sent.path) for sent in case.sent if sent.seen == "never"):
            yield f"{case.shape.parts[-1]} logged as allowed what it refused: {decision}"


def _answers(case: Case, outcome: Outcome) -> Iterator[str]:
    got = outcome.result.get("answers", {})
    answers = got if isinstance(got, dict) else {str(at): answer for at, answer in enumerate(got)}
    known = {sent.key: sent for sent in case.sent}
    for key, answer in answers.items():
        yield from (f"answer {key}: {why}" for why in _answer(known.get(key), answer))
    for sent in case.sent:
        if sent.status:
            yield from (f"answer {sent.key}: {why}" for why in _exactly(sent, answers.get(sent.key)))
    # What came without a step that waits for it, or after it had waited in vain: at most one for each request that may
    # have arrived.
    unread = [sent.path for sent in case.sent if not answers.get(sent.key, {}).get("status")]
    for mark in re.findall(r"x-answer-to: (\S+)", outcome.result.get("rest", ""), re.IGNORECASE):
        if mark not in unread:
            yield f"more answers than requests: {outcome.result['rest'][:200]!r}"
            return
        unread.remove(mark)


def _answer(sent: Sent | None, answer: dict[str, Any]) -> Iterator[str]:
    """What holds for every answer, also for those to malformed requests and of malformed upstreams."""
    if "malformed" in answer:
        yield f"malformed: {answer['malformed']}"
    marks = [value for name, value in answer.get("fields", []) if name == "x-answer-to"]
    status = answer.get("status", 0)
    if marks and (sent is None or marks != [sent.path]):
        yield f"that of another request: {marks}"
    if not marks and 200 <= status < 400 and answer["complete"]:
        yield f"{status} from nobody"
    if marks and sent and answer["complete"] and answer["body"]["sha256"] != wire.digest(sent.expected)["sha256"]:
        yield f"looks whole with {answer['body']['size']} bytes and is not: {answer['body']['head'][:80]!r}"


def _exactly(sent: Sent, answer: dict[str, Any] | None) -> Iterator[str]:
    """A well-formed answer to a well-formed request."""
    if answer is None:
        yield "none"
        return
    if (answer.get("status"), answer["complete"]) != (sent.status, True):
        state = {key: answer.get(key) for key in ("status", "complete", "reset", "timeout")}
        yield f"not whole: {state} {answer.get('body', {}).get('head', '')[:200]!r}"
    ends = tuple(trailer.lower() for trailer in answer.get("trailers", []))
    if ends != sent.ends:
        yield f"trailers {ends}"


def _short(line: dict[str, Any]) -> dict[str, Any]:
    return {key: line[key] for key in ("method", "path", "body", "trailers", "fields")}
