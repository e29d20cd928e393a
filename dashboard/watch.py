"""Watches all bottles on the engine: their parts' health, their decisions as they are logged, their proposals."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from components.change import Change, ChangeError
from components.engine import Engine, EngineError, Running
from components.engine_address import engine_of, environment, prefix
from components.errors import BottleError, printable
from components.naming import docker_name
from dashboard.audit import Audit
from dashboard.begun import Desk
from dashboard.decisions import Decision, for_audit, read_decision, read_up_to
from dashboard.inbox import Inbox
from dashboard.news import News
from dashboard.terms import gain
from sidecar_images.supervise.proposals import Proposal

PARTS = ("agent", "egress", "pipelock", "git-gate", "supervise")
_LOOK, _PROPOSALS, _BATCH = 2.0, 15.0, 1.0  # seconds
_KEPT = 500  # decisions that a page which opens is shown
_LINE = 1 << 18  # bytes


class Watch:
    """One for all stacks. `bottles` is by stack; everything new goes to `news`."""

    def __init__(self, project: Path, news: News) -> None:
        self._project, self._news = project, news
        self.bottles: dict[str, dict[str, Any]] = {}
        self.proposals: dict[str, list[dict[str, Any]]] = {}
        self.decisions: deque[dict[str, str]] = deque(maxlen=_KEPT)
        self.problem = ""
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._batches: dict[str, list[Decision]] = {}
        self._read_to: dict[str, dict[str, str]] = {}
        self._ask = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._forever(self._look, _LOOK))
            tasks.create_task(self._forever(self._write, _BATCH))
            tasks.create_task(self._forever(self._look_at_proposals, 0))

    def look_again(self) -> None:
        """Read the proposals now."""
        self._ask.set()

    async def _forever(self, what: Any, seconds: float) -> None:
        while True:
            try:
                await what()
            except Exception:
                logging.exception("the dashboard could not look")
                await asyncio.sleep(_LOOK)
            await asyncio.sleep(seconds)

    async def _look(self) -> None:
        running, problem = await asyncio.to_thread(self._running)
        seen = _by_stack(running, self._declared(), self._project)
        if (seen, problem) != (self.bottles, self.problem):
            grown = {s for s in seen if _has_supervise(seen[s]) and not _has_supervise(self.bottles.get(s, {}))}
            self.bottles, self.problem = seen, problem
            self._news.publish("bottles", self.state())
            if grown:
                self.look_again()
        alive = {part.id: part for part in running if part.health != "stopped" and part.role in PARTS[1:]}
        for identity, part in alive.items():
            if identity not in self._readers or self._readers[identity].done():
                self._readers[identity] = asyncio.create_task(self._read(part))
        for identity in [i for i in self._readers if i not in alive]:
            self._readers.pop(identity).cancel()

    def state(self) -> dict[str, Any]:
        """What a page shows of the bottles."""
        return {"bottles": list(self.bottles.values()), "problem": self.problem}

    def _running(self) -> tuple[list[Running], str]:
        """All parts on all engines that a stack names, and what is wrong with an engine."""
        engines: dict[str, dict[str, str]] = {"": {}}
        problems, running = [], []
        for stack in self._declared():
            try:
                variables = engine_of(stack, self._project)
            except BottleError as error:
                problems.append(f"{stack}: {error}")
            else:
                engines[variables.get("DOCKER_HOST", "")] = variables
        for host, variables in engines.items():
            try:
                running += Engine(variables).bottles()
            except EngineError as error:
                problems.append(f"Docker{f' at {host}' if host else ''} does not answer: {error}")
        return running, "; ".join(problems)

    def _declared(self) -> set[str]:
        return {file.name[7:-5] for file in (self._project / "stacks").glob("Pulumi.*.yaml")}

    async def _read(self, part: Running) -> None:
        """The log of one container, from where the audit log of its bottle ends."""
        if part.stack not in self._read_to:
            self._read_to[part.stack] = await asyncio.to_thread(_audited_up_to, part.stack)
        since = self._read_to[part.stack].get(part.role, "")
        argv = ["docker", "logs", "--follow", "--timestamps", *(["--since", since] if since else []), part.id]
        pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        env = environment(part.stack, self._project)
        reader = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=null, limit=_LINE, env=env)
        assert reader.stdout is not None  # noqa: S101 - asked for above
        try:
            while True:
                try:
                    line = await reader.stdout.readline()
                except ValueError:  # longer than any line of ours
                    continue
                if not line:
                    return
                self._take(part, read_decision(part.stack, line.decode(errors="replace")), since)
        finally:
            with contextlib.suppress(ProcessLookupError):
                reader.kill()
            await reader.wait()

    def _take(self, part: Running, decision: Decision | None, since: str) -> None:
        if decision is None or decision.time <= since:
            return
        self._read_to[part.stack][part.role] = max(decision.time, self._read_to[part.stack].get(part.role, ""))
        self._batches.setdefault(part.stack, []).append(decision)
        self.decisions.append(decision.to_json())
        self._news.publish("decision", decision.to_json())
        if decision.part == "supervise":
            self.look_again()

    async def _write(self) -> None:
        batches, self._batches = self._batches, {}
        for stack, decisions in batches.items():
            await asyncio.to_thread(Audit(stack).append, *for_audit(decisions))

    async def _look_at_proposals(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ask.wait(), _PROPOSALS)
        self._ask.clear()
        for stack, bottle in list(self.bottles.items()):
            if not _has_supervise(bottle):
                continue
            try:
                found = await asyncio.to_thread(_proposals, stack, self._project)
            except BottleError:
                continue  # it is starting, or gone: its health says so
            if found != self.proposals.get(stack):
                self.proposals[stack] = found
                self._news.publish("proposals", {"stack": stack, "proposals": found})


def _by_stack(running: Iterable[Running], declared: set[str], project: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for stack in sorted(declared | {part.stack for part in running}):
        parts = {part.role: part for part in running if part.stack == stack and part.role in PARTS}
        shown = [{"role": role, "health": parts[role].health, "status": _words(parts[role].status)} for role in PARTS
                 if role in parts]  # fmt: skip
        attach = f"{_prefix(stack, project)}docker exec -it -u node {docker_name('agent', stack)} claude"
        found[stack] = {"stack": stack, "declared": stack in declared, "parts": shown, "attach": attach}
    return found


def _prefix(stack: str, project: Path) -> str:
    try:
        return prefix(engine_of(stack, project))
    except BottleError:
        return ""


def _words(status: str) -> str:
    # Without the time, which changes with every look.
    return status.partition(" (")[0].split(" ")[0]


def _has_supervise(bottle: dict[str, Any]) -> bool:
    return any(p["role"] == "supervise" and p["health"] == "healthy" for p in bottle.get("parts", []))


def _audited_up_to(stack: str) -> dict[str, str]:
    try:
        return read_up_to(Audit(stack).records())
    except BottleError as error:
        logging.error("%s", error)
        return {}


def _proposals(stack: str, project: Path) -> list[dict[str, Any]]:
    begun = Desk(stack).begun()
    found = Inbox(stack, project).all()
    return [_shown(proposal, at_work=begun is not None and begun.id == proposal.id) for proposal in found]


def _shown(proposal: Proposal, *, at_work: bool) -> dict[str, Any]:
    try:
        content = Change.read(proposal.change, owner=True).grants
    except ChangeError:
        content = None
    return {
        "id": proposal.id,
        "created": proposal.created,
        "tool": printable(proposal.tool),
        "words": printable(proposal.words),
        "request": {key: printable(str(value)) for key, value in proposal.request.items()},
        "gain": gain(proposal.change),
        "verdict": proposal.verdict,
        "reply": proposal.reply,
        "note": printable(proposal.note),
        "decided": proposal.decided,
        "content": bool(content),
        "at_work": at_work,
    }
