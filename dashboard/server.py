"""The page's server: on loopback, thin over `approval`. Long work runs in a thread and tells the page how it goes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
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

from components.change import Change
from components.errors import BottleError, printable
from dashboard.approval import Approval
from dashboard.audit import Audit
from dashboard.guard import Guard
from dashboard.news import News
from dashboard.resume import resume_command
from dashboard.sweep import sweep
from dashboard.terms import as_yaml, from_yaml, gain, seconds, stack_name
from dashboard.watch import Watch

PAGE = Path(__file__).with_name("page")
_BODY = 64 << 10  # bytes of a request
_SWEEP, _FIRST = 30.0, 1.0  # seconds


class Dashboard:
    """The application; `app` is what a server runs."""

    def __init__(self, project: Path, *, port: int, token: str) -> None:
        self.project, self.news = project, News()
        self.watch = Watch(project, self.news)
        routes = [
            Route("/", lambda _: FileResponse(PAGE / "index.html")),
            Mount("/page", StaticFiles(directory=PAGE)),
            Route("/api/events", self.events),
            Route("/api/{stack}/proposals/{id}", self.proposal),
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
        self.news.start()
        tasks = [asyncio.create_task(self.watch.run()), asyncio.create_task(self._keep_up())]
        try:
            yield
        finally:
            self.news.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_up(self) -> None:
        """Finish what was cut off, once its bottle is there; take out of the stack files what has ended."""
        while True:
            for stack, bottle in list(self.watch.bottles.items()):
                if bottle["declared"] and bottle["parts"]:
                    for work in (lambda a: a.go_on(), sweep):
                        with contextlib.suppress(BottleError):
                            await asyncio.to_thread(work, self._approval(stack))
            unfinished = any(told["at_work"] for found in self.watch.proposals.values() for told in found)
            await asyncio.sleep(_SWEEP if self.watch.bottles and not unfinished else _FIRST)

    def _approval(self, stack: str, identity: str = "") -> Approval:
        def tell(line: str) -> None:
            self.news.from_thread("progress", {"stack": stack, "id": identity, "line": printable(line)})

        return Approval.of(stack_name(stack), self.project, tell=tell, where="page")

    async def events(self, _: Request) -> Response:
        first = [("bottles", self.watch.state())]
        first += [("proposals", {"stack": s, "proposals": p}) for s, p in self.watch.proposals.items()]
        first += [("decisions", list(self.watch.decisions))]  # type: ignore[list-item]
        return EventSourceResponse(self.news.listen(first), ping=15)

    async def proposal(self, request: Request) -> Response:
        return JSONResponse(await self._work(request, self._detail))

    def _detail(self, approval: Approval, identity: str, _: dict[str, Any]) -> dict[str, Any]:
        change = approval.change(approval.inbox.get(identity))
        held = approval.inbox.held(change.grants, str(change.value)) if change.grants else None
        shown = {key: printable(str(value)) for key, value in (held or {}).items() if key in ("what", "why", "excerpt")}
        return {"yaml": as_yaml(change), "diff": approval.diff(change), "held": shown, "grants": change.grants}

    async def preview(self, request: Request) -> Response:
        return JSONResponse(await self._work(request, self._preview))

    def _preview(self, approval: Approval, identity: str, told: dict[str, Any]) -> dict[str, Any]:
        change = self._change(approval, identity, told)
        found = approval.preview(change)
        return {"gain": gain(change), "diff": approval.diff(change), "gains": found.gains, "steps": found.steps}

    def _change(self, approval: Approval, identity: str, told: dict[str, Any]) -> Change:
        return approval.change(approval.inbox.get(identity), _edit(told), seconds(str(told.get("for") or "")))

    async def approve(self, request: Request) -> Response:
        """Starts it; the page hears how it goes. What is wrong with the words of the owner is told at once."""
        told = await _json(request)
        stack, identity = request.path_params["stack"], request.path_params["id"]
        approval = self._approval(stack, identity)
        await asyncio.to_thread(self._change, approval, identity, told)
        limited = seconds(str(told.get("for") or ""))
        yes = partial(approval.approve, identity, str(told.get("reply") or ""), _edit(told), limited)
        self._start(stack, identity, yes)
        return JSONResponse({"started": identity}, 202)

    async def reject(self, request: Request) -> Response:
        def no(approval: Approval, identity: str, told: dict[str, Any]) -> dict[str, Any]:
            approval.reject(identity, str(told.get("reply") or ""))
            return {"rejected": identity}

        answer = await self._work(request, no)
        self.watch.look_again()
        return JSONResponse(answer)

    async def audit(self, request: Request) -> Response:
        def read(approval: Approval, _: str, __: dict[str, Any]) -> dict[str, Any]:
            log = Audit(approval.stack)
            count, head = log.verify()
            kept = [record for record in log.records() if record["event"] != "decision"][-50:]
            return {"records": count, "head": head, "verdicts": kept}

        return JSONResponse(await self._work(request, read))

    async def resume(self, request: Request) -> Response:
        command = await asyncio.to_thread(resume_command, stack_name(request.path_params["stack"]), self.project)
        return JSONResponse({"command": command})

    async def _work(self, request: Request, work: Callable[[Approval, str, dict[str, Any]], Any]) -> Any:
        told = await _json(request) if request.method == "POST" else {}
        identity = request.path_params.get("id", "")
        return await asyncio.to_thread(work, self._approval(request.path_params["stack"], identity), identity, told)

    def _start(self, stack: str, identity: str, work: Callable[[], str]) -> None:
        async def run() -> None:
            done = {"stack": stack, "id": identity}
            try:
                note = await asyncio.to_thread(work)
                self.news.publish("done", {**done, "ok": True, "text": note})
            except BottleError as error:
                self.news.publish("done", {**done, "ok": False, "text": printable(str(error))})
            self.watch.look_again()

        task = asyncio.create_task(run())
        _RUNNING.add(task)
        task.add_done_callback(_RUNNING.discard)


_RUNNING: set[asyncio.Task[None]] = set()  # the loop itself keeps no reference to a task


def _edit(told: dict[str, Any]) -> Any:
    """The change in the owner's words, None where there are none. An emptied field is not the agent's wish."""
    if "change" not in told:
        return None
    edit = from_yaml(str(told["change"]))
    if edit is None:
        raise BottleError("the edited change is empty; write path and value")
    return edit


async def _json(request: Request) -> dict[str, Any]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY:
            raise BottleError("too much text")
    try:
        told = json.loads(body or b"{}")
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise BottleError("not a JSON object")
    return told


async def _told(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": printable(str(error))}, 409)


def serve(project: Path, port: int) -> int:
    """Run until interrupted; prints the address. Raises BottleError when the port is taken."""
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
    print("the dashboard has ended; what is pending stays", file=sys.stderr)
    return 0
