"""Watches all bottles: the health of their parts, their decisions as they are logged, and their proposals."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from claude_bottle.approvals.asking import file_question
from claude_bottle.approvals.audit.collect import PARTS as RECORDING
from claude_bottle.approvals.audit.collect import collect
from claude_bottle.approvals.audit.decisions import Line, read_line
from claude_bottle.approvals.audit.from_logs import for_audit, is_new, move, since_of
from claude_bottle.approvals.audit.log import Audit, AuditFull
from claude_bottle.engines.chosen import hosts, open_client, running_bottles
from claude_bottle.engines.client import WorkloadStatus
from claude_bottle.host.stack_names import STACKS, stack_names
from claude_bottle.policy.errors import BottleError, printable
from claude_bottle.policy.names.roles import SIDECAR_ROLES
from dashboard.disk import look_at_disk
from dashboard.event_bus import EventBus
from dashboard.shown import by_stack, has_supervise, proposals

_LOOK, _PROPOSALS, _BATCH, _COLLECT, _DISK = 2.0, 15.0, 1.0, 30.0, 30.0  # seconds
_KEPT = 500  # decisions that a newly opened page gets
_LINE = 1 << 18  # bytes


class Monitor:
    """Watches all stacks. `bottles` is by stack. Every change is published to the bus."""

    def __init__(self, project: Path, bus: EventBus) -> None:
        self._project, self._bus = project, bus
        self.bottles: dict[str, dict[str, Any]] = {}
        self.proposals: dict[str, list[dict[str, Any]]] = {}
        self.decisions: deque[dict[str, str]] = deque(maxlen=_KEPT)
        self.problem = ""
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._batches: dict[str, list[Line]] = {}
        self._marks: dict[str, dict[str, dict[str, Any]]] = {}  # by stack and part, the last line read of its log
        self._collect: dict[str, set[str]] = {}  # by stack, parts whose records must be collected
        self._full: dict[str, str] = {}  # by stack, the problem of an audit log that is full
        self._low: list[str] = []  # problems of engines whose disk is low
        self._ask = asyncio.Event()
        self._verdicts = 0  # number of verdicts by this process
        self._questions: list[tuple[str, Line]] = []  # about requests that pipelock holds

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._forever(self._look, _LOOK))
            tasks.create_task(self._forever(self._write, _BATCH))
            tasks.create_task(self._forever(self._ask_all, _COLLECT))
            tasks.create_task(self._forever(self._look_at_disks, _DISK))
            tasks.create_task(self._forever(self._look_at_proposals, 0))

    def answered(self, stack: str, identity: str, verdict: str, reply: str, note: str = "") -> list[dict[str, Any]]:
        """Publish a new verdict before supervise is polled again. Returns the stack's proposals."""
        self._verdicts += 1
        given = {"verdict": verdict, "reply": reply, "note": printable(note), "decided": time.time(), "at_work": False}
        updated = [one | given if one["id"] == identity else one for one in self.proposals.get(stack, [])]
        self.proposals[stack] = updated
        self._bus.publish("proposals", {"stack": stack, "proposals": updated})
        self.look_again()
        return updated

    def look_again(self) -> None:
        """Poll the proposals now."""
        self._ask.set()

    async def _forever(self, what: Any, seconds: float) -> None:
        while True:
            try:
                await what()
            except Exception:
                logging.exception("the dashboard could not read the bottles")
                await asyncio.sleep(_LOOK)
            await asyncio.sleep(seconds)

    async def _look(self) -> None:
        running, problem = await asyncio.to_thread(self._running)
        problem = "; ".join(filter(None, (problem, *self._full.values(), *self._low)))
        seen = by_stack(running, self._declared(), self._project)
        if (seen, problem) != (self.bottles, self.problem):
            grown = {s for s in seen if has_supervise(seen[s]) and not has_supervise(self.bottles.get(s, {}))}
            self.bottles, self.problem = seen, problem
            self._bus.publish("bottles", self.state())
            if grown:
                self.look_again()
        alive = {part.id: part for part in running if part.health != "stopped" and part.role in SIDECAR_ROLES}
        for identity, part in alive.items():
            if identity not in self._readers or self._readers[identity].done():
                self._readers[identity] = asyncio.create_task(self._read(part))
        for identity in [i for i in self._readers if i not in alive]:
            self._readers.pop(identity).cancel()

    def state(self) -> dict[str, Any]:
        """The bottles and the problem, for a page."""
        return {"bottles": list(self.bottles.values()), "problem": self.problem}

    def _running(self) -> tuple[Sequence[WorkloadStatus], str]:
        """All parts on all engines that a stack names, and the problems of engines."""
        running, problems = running_bottles(self._project)
        return running, "; ".join(problems)

    async def _look_at_disks(self) -> None:
        low = []
        for engine in (await asyncio.to_thread(hosts, self._project))[0].values():
            with contextlib.suppress(BottleError):  # _look reports an engine that does not answer
                low.append((await asyncio.to_thread(look_at_disk, engine, self._declared())).words)
        self._low = low

    def _declared(self) -> set[str]:
        return stack_names(self._project / STACKS)

    async def _read(self, part: WorkloadStatus) -> None:
        """Follow the log of one part, from where the audit log of its bottle ends."""
        if part.stack not in self._marks:
            self._marks[part.stack] = await asyncio.to_thread(_audited_up_to, part.stack)
        self._collect.setdefault(part.stack, set()).add(part.role)
        since = since_of(self._marks[part.stack].get(part.role, {}))
        command = open_client(part.stack, self._project).log(part.role, since=since, follow=True, id=part.id)
        pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        reader = await asyncio.create_subprocess_exec(
            *command.argv, stdout=pipe, stderr=null, limit=_LINE, env=command.env
        )
        assert reader.stdout is not None  # noqa: S101 - asked for above
        try:
            while True:
                try:
                    line = await reader.stdout.readline()
                except ValueError:  # longer than any line of this project's
                    continue
                if not line:
                    return
                self._take(part, read_line(part.stack, line.decode(errors="replace")))
        finally:
            with contextlib.suppress(ProcessLookupError):
                reader.kill()
            await reader.wait()

    def _take(self, part: WorkloadStatus, line: Line | None) -> None:
        if line is None or line.part != part.role:
            return
        mark = self._marks[part.stack].setdefault(part.role, {})
        if not is_new(line, mark):
            return
        move(mark, line)
        self._batches.setdefault(part.stack, []).append(line)
        if line.on_record:
            self._collect.setdefault(part.stack, set()).add(part.role)
        if (decision := line.decision) is None:
            return
        self.decisions.append(decision.to_json())
        self._bus.publish("decision", decision.to_json())
        if line.asks:
            self._questions.append((part.stack, line))
        if decision.part == "supervise" or line.asks:
            self.look_again()

    async def _ask_all(self) -> None:
        """Collect from all parts now and then, because the log line that announces a record may be lost."""
        for stack, bottle in self.bottles.items():
            roles = {part["role"] for part in bottle["parts"] if part["health"] == "healthy"}
            self._collect.setdefault(stack, set()).update(roles.intersection(RECORDING))

    async def _write(self) -> None:
        batches, self._batches = self._batches, {}
        records, self._collect = self._collect, {}
        writing = [self._write_of(s, batches.get(s, []), records.get(s, set())) for s in {*batches, *records}]
        await asyncio.gather(*writing)

    async def _write_of(self, stack: str, lines: list[Line], recording: set[str]) -> None:
        try:
            await asyncio.to_thread(self._write_one, stack, lines, recording)
            self._full.pop(stack, None)
        except AuditFull as full:
            self._full[stack] = f"{stack}: {full}"
        except BottleError as error:  # a part that is starting or stopping is polled again
            logging.warning("%s", error)

    def _write_one(self, stack: str, lines: list[Line], recording: set[str]) -> None:
        audit = Audit(stack)
        if lines:
            audit.must_have_room()
            audit.append_from(lambda read: for_audit(lines, read)[0])
        # A part deletes collected records, so only the page of its own project may collect them.
        if recording and self.bottles.get(stack, {}).get("declared"):
            collect(stack, self._project, [part for part in RECORDING if part in recording])

    async def _look_at_proposals(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ask.wait(), _PROPOSALS)
        self._ask.clear()
        questions, self._questions = self._questions, []
        for stack, line in questions:
            await asyncio.to_thread(file_question, stack, self._project, line)
        for stack, bottle in list(self.bottles.items()):
            if not has_supervise(bottle):
                continue
            before = self._verdicts
            try:
                latest = await asyncio.to_thread(proposals, stack, self._project)
            except BottleError:
                continue  # it is starting or gone, which its health shows
            if before != self._verdicts:  # the list may be older than the verdict
                self.look_again()
                continue
            if latest != self.proposals.get(stack):
                self.proposals[stack] = latest
                self._bus.publish("proposals", {"stack": stack, "proposals": latest})


def _audited_up_to(stack: str) -> dict[str, dict[str, Any]]:
    try:
        return {part: dict(mark) for part, mark in Audit(stack).read_to().items()}
    except BottleError as error:
        logging.error("%s", error)
        return {}
