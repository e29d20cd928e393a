"""The page's server, on loopback, a thin layer over `approval`. Long work runs in a thread and reports its progress."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import uvicorn
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from claude_bottle.approvals.approval import ON_PAGE, Approval, WaitingError
from claude_bottle.approvals.audit.log import Audit
from claude_bottle.approvals.edit.stack_file import StackFile
from claude_bottle.approvals.held import HeldContent
from claude_bottle.approvals.owner_input import as_yaml, from_yaml, gain, seconds, stack_name
from claude_bottle.approvals.resume import resume_command
from claude_bottle.approvals.sweep import sweep
from claude_bottle.manifest.change import Change
from claude_bottle.policy.errors import BottleError, printable
from claude_bottle.policy.proposals import APPROVED, REJECTED, Proposal
from dashboard.event_bus import EventBus
from dashboard.guard import Guard
from dashboard.monitor import Monitor

PAGE = Path(__file__).with_name("page")
_BODY = 64 << 10  # bytes of a request
_OF_PARTS = ("decision", "gap", "sealed")  # events that are not verdicts of the owner
_SWEEP, _FIRST, _LOOK_AGAIN = 30.0, 1.0, 600.0  # seconds


class Dashboard:
    """The application. `app` is the ASGI application for a server."""

    def __init__(self, project: Path, *, port: int, token: str) -> None:
        self.project, self.bus = project, EventBus()
        self._waiting: dict[str, tuple[str, float]] = {}  # stack with pending changes, to its file's text and the time
        self.monitor = Monitor(project, self.bus)
        routes = [
            Route("/", lambda _: FileResponse(PAGE / "index.html")),
            Mount("/page", StaticFiles(directory=PAGE)),
            Route("/api/events", self.events),
            Route("/api/{stack}/proposals/{id}", self.proposal),
            Route("/api/{stack}/proposals/{id}/held/{page:int}", self.held),
            Route("/api/{stack}/proposals/{id}/preview", self.preview, methods=["POST"]),
            Route("/api/{stack}/proposals/{id}/approve", self.approve, methods=["POST"]),
            Route("/api/{stack}/proposals/{id}/reject", self.reject, methods=["POST"]),
            Route("/api/{stack}/audit", self.audit),
            Route("/api/{stack}/resume", self.resume),
        ]
        guard = Middleware(Guard, port=port, token=token)
        self.app = Starlette(
            routes=routes, middleware=[guard], lifespan=self._life, exception_handlers={BottleError: _told}
        )

    @contextlib.asynccontextmanager
    async def _life(self, _: Starlette) -> AsyncIterator[None]:
        self.bus.start()
        tasks = [asyncio.create_task(self.monitor.run()), asyncio.create_task(self._keep_up())]
        try:
            yield
        finally:
            self.bus.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_up(self) -> None:
        """Resume interrupted approvals of running bottles, and remove expired entries from their stack files."""
        while True:
            for stack, bottle in list(self.monitor.bottles.items()):
                if bottle["declared"] and bottle["parts"]:
                    for work in (lambda a: a.resume_interrupted(), self._sweep):
                        with contextlib.suppress(BottleError):
                            await asyncio.to_thread(work, self._approval(stack))
            unfinished = any(
                proposal["at_work"] for proposals in self.monitor.proposals.values() for proposal in proposals
            )
            await asyncio.sleep(_SWEEP if self.monitor.bottles and not unfinished else _FIRST)

    def _sweep(self, approval: Approval) -> None:
        """Run when the stack file has changed, and every ten minutes, because checking for pending changes is slow."""
        file = StackFile.of(approval.stack, approval.project).read()
        seen, when = self._waiting.get(approval.stack, ("", 0.0))
        if file == seen and time.monotonic() - when < _LOOK_AGAIN:
            return
        try:
            sweep(approval)
        except WaitingError as error:
            self._waiting[approval.stack] = (file, time.monotonic())
            approval.tell(f"the ended entries stay in the stack file. {error}")

    def _approval(self, stack: str, identity: str = "") -> Approval:
        def tell(line: str) -> None:
            self.bus.from_thread("progress", {"stack": stack, "id": identity, "line": printable(line)})

        return Approval.of(stack_name(stack), self.project, tell=tell, where=ON_PAGE)

    async def events(self, _: Request) -> Response:
        first = [("bottles", self.monitor.state())]
        first += [("proposals", {"stack": s, "proposals": p}) for s, p in self.monitor.proposals.items()]
        first += [("decisions", list(self.monitor.decisions))]  # type: ignore[list-item]
        return EventSourceResponse(self.bus.listen(first), ping=15)

    async def proposal(self, request: Request) -> Response:
        return JSONResponse(await self._work(request, self._detail))

    def _detail(self, approval: Approval, identity: str, _: dict[str, Any]) -> dict[str, Any]:
        proposal = approval.inbox.get(identity)
        change = approval.change(proposal)
        held: dict[str, Any] = {}
        if change.grants:
            with contextlib.suppress(BottleError):  # no longer held, which the page then shows
                held = HeldContent(approval.inbox, approval.stack, change).show()
        detail = {"yaml": as_yaml(change), "held": held, "grants": change.grants}
        try:
            return {**detail, "diff": approval.diff(change), "notes": _notes(approval, proposal, change)}
        except BottleError as error:  # it cannot be granted as requested, but possibly after an edit
            return {**detail, "diff": printable(str(error)), "notes": []}

    async def held(self, request: Request) -> Response:
        """A page of a proposal's content. It counts as shown."""

        def show(approval: Approval, identity: str, _: dict[str, Any]) -> dict[str, Any]:
            change = approval.change(approval.inbox.get(identity))
            if not change.grants:
                raise BottleError(f"{identity} has no held content")
            return HeldContent(approval.inbox, approval.stack, change).show(request.path_params["page"])

        return JSONResponse(await self._work(request, show))

    async def preview(self, request: Request) -> Response:
        return JSONResponse(await self._work(request, self._preview))

    def _preview(self, approval: Approval, identity: str, payload: dict[str, Any]) -> dict[str, Any]:
        change = self._change(approval, identity, payload)
        told_notes = _notes(approval, approval.inbox.get(identity), change)
        preview = approval.preview(change)
        shown = {"gain": gain(change), "diff": approval.diff(change), "notes": told_notes}
        return {**shown, "gains": preview.gains, "steps": preview.steps}

    def _change(self, approval: Approval, identity: str, payload: dict[str, Any]) -> Change:
        return approval.change(approval.inbox.get(identity), _edit(payload), seconds(str(payload.get("for") or "")))

    def _may_approve(self, approval: Approval, identity: str, payload: dict[str, Any]) -> None:
        change = self._change(approval, identity, payload)
        if change.grants:
            accepted = payload.get("unseen")
            count = accepted if isinstance(accepted, int) and not isinstance(accepted, bool) else 0
            HeldContent(approval.inbox, approval.stack, change).must_be_seen(count)

    async def approve(self, request: Request) -> Response:
        """Start an approval; the page gets its progress as events. Errors in the owner's input are returned at once."""
        payload = await _json(request)
        stack, identity = request.path_params["stack"], request.path_params["id"]
        approval = self._approval(stack, identity)
        await asyncio.to_thread(self._may_approve, approval, identity, payload)
        limited = seconds(str(payload.get("for") or ""))
        reply, others = str(payload.get("reply") or ""), payload.get("others") is True
        yes = partial(approval.approve, identity, reply, _edit(payload), limited, others=others)
        self._start(stack, identity, reply, yes)
        return JSONResponse({"started": identity}, 202)

    async def reject(self, request: Request) -> Response:
        def no(approval: Approval, identity: str, payload: dict[str, Any]) -> dict[str, Any]:
            reply = str(payload.get("reply") or "")
            approval.reject(identity, reply)
            return {"reply": reply}

        said = await self._work(request, no)
        stack, identity = request.path_params["stack"], request.path_params["id"]
        proposals = self.monitor.answered(stack, identity, REJECTED, said["reply"])
        return JSONResponse({"rejected": identity, "proposals": proposals})

    async def audit(self, request: Request) -> Response:
        def read(approval: Approval, _: str, __: dict[str, Any]) -> dict[str, Any]:
            log = Audit(approval.stack)
            count, head = log.verify()
            kept = list(islice((r for r in log.latest() if r["event"] not in _OF_PARTS), 50))
            return {"records": count, "head": head, "verdicts": kept[::-1]}

        return JSONResponse(await self._work(request, read))

    async def resume(self, request: Request) -> Response:
        command = await asyncio.to_thread(resume_command, stack_name(request.path_params["stack"]), self.project)
        return JSONResponse({"command": command})

    async def _work(self, request: Request, work: Callable[[Approval, str, dict[str, Any]], Any]) -> Any:
        payload = await _json(request) if request.method == "POST" else {}
        identity = request.path_params.get("id", "")
        return await asyncio.to_thread(work, self._approval(request.path_params["stack"], identity), identity, payload)

    def _start(self, stack: str, identity: str, reply: str, work: Callable[[], str]) -> None:
        async def run() -> None:
            done = {"stack": stack, "id": identity}
            try:
                note = await asyncio.to_thread(work)
                self.monitor.answered(stack, identity, APPROVED, reply, note)
                self.bus.publish("done", {**done, "ok": True, "text": note})
            except BottleError as error:
                self.bus.publish("done", {**done, "ok": False, "text": printable(str(error))})
            self.monitor.look_again()

        task = asyncio.create_task(run())
        _RUNNING.add(task)
        task.add_done_callback(_RUNNING.discard)


_RUNNING: set[asyncio.Task[None]] = set()  # the event loop itself keeps only weak references to tasks


def _notes(approval: Approval, proposal: Proposal, change: Change) -> list[str]:
    return [printable(note) for note in approval.notes(proposal, change)]


def _edit(payload: dict[str, Any]) -> Any:
    """The owner's edit of the change; None without one."""
    return from_yaml(str(payload["change"])) if "change" in payload else None


async def _json(request: Request) -> dict[str, Any]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY:
            raise BottleError("too much text")
    try:
        payload = json.loads(body or b"{}")
    except ValueError:
        payload = None
    if not isinstance(payload, dict):
        raise BottleError("not a JSON object")
    return payload


async def _told(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": printable(str(error))}, 409)


def serve(project: Path, port: int) -> None:
    """Print the address and serve until interrupted. Raises BottleError if the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        raise BottleError(f"port {port} of 127.0.0.1: {error.strerror}; give another with --port") from None
    token = secrets.token_urlsafe(32)
    dashboard = Dashboard(project, port=listener.getsockname()[1], token=token)
    print(f"open http://127.0.0.1:{listener.getsockname()[1]}/?token={token}\nCtrl-C ends it", flush=True)
    config = uvicorn.Config(dashboard.app, log_level="warning", timeout_graceful_shutdown=2, server_header=False)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
    print("the dashboard has stopped; pending proposals stay", file=sys.stderr)
