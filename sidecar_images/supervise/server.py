"""The MCP server for the agent. It files proposals and waits; it cannot approve one."""

from __future__ import annotations

import json
import os
import resource
import time
import urllib.request
from collections.abc import Callable
from typing import Annotated, Any

import anyio
import uvicorn
from mcp.server.fastmcp import Context, FastMCP
from mcp.server.fastmcp.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import Field

from claude_bottle.manifest.change import Change, ChangeError
from claude_bottle.policy.names.roles import PORTS
from claude_bottle.policy.proposals import PENDING, FullError, LimitError, Proposal, Proposals

from .answers import answer
from .arguments import wrong_arguments
from .route_arguments import asks_for_a_route
from .waiting import Connection, Waiting
from .wishes import WishError, capability_wish, host_wish, route_wish

PORT = PORTS["supervise"]
_WAIT = float(os.environ.get("SUPERVISE_WAIT_SECONDS", "600"))
_LOOK, _TELL = 0.5, 5.0  # seconds between two checks of the store, and between two progress reports to the client
Words = Annotated[str, Field(description="Why you need it, for the owner: what you are doing and what was refused.")]
Refused = Annotated[
    dict[str, Any] | None, Field(description="The JSON body of the refusal, as you got it: method, host, path, reason.")
]
Again = Annotated[str, Field(description="The id of an earlier call that was still pending, to wait for it again.")]


class Server(FastMCP):  # type: ignore[misc]  # the SDK is in the image only
    """Rejects unknown arguments. The SDK drops them silently, so an agent would wait for something else."""

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> Any:
        tool = self._tool_manager.get_tool(name)
        if tool is None:
            names = ", ".join(sorted(one.name for one in self._tool_manager.list_tools()))
            raise ToolError(f"Unknown tool: {name[:60]}; there are: {names}")
        if wrong := wrong_arguments(name, arguments, tool.parameters):
            raise ToolError(wrong)
        return await super().call_tool(name, arguments)


server = Server(
    "supervise",
    instructions="Asks this bottle's owner for access, packages and resources. Waiting for an answer costs nothing.",
    host="0.0.0.0",  # noqa: S104 - the container is on the agent's network only
    port=PORT,
    streamable_http_path="/",
    stateless_http=True,
    transport_security=TransportSecuritySettings(allowed_hosts=[f"supervise:{PORT}", f"127.0.0.1:{PORT}"]),
)
store: Proposals


@server.tool(name="egress-block")
@asks_for_a_route
async def egress_block(
    context: Context, justification: Words, refused: Refused = None, proposal_id: Again = "", **asked: Any
) -> str:
    """Ask the owner for a route: egress refused a host, a path or a method. Waits for the verdict."""
    request = refused_request(refused)
    return await _ask(
        context, "egress-block", lambda: route_wish(request, **asked), justification, proposal_id, request
    )


@server.tool(name="pipelock-block")
async def pipelock_block(
    context: Context,
    justification: Words,
    refused: Refused = None,
    host: Annotated[str, Field(description="Exact host name, or *. and a name; default: that of the refusal.")] = "",
    content: Annotated[str, Field(description="For reason dlp_match: the refusal's content (sha256:…).")] = "",
    proposal_id: Again = "",
) -> str:
    """Ask the owner for what pipelock refused: a host, or one exact content, once. Waits for the verdict."""
    request = refused_request(refused)
    has_egress = "//egress:" in os.environ["BOTTLE_PROXY"]
    return await _ask(
        context,
        "pipelock-block",
        lambda: host_wish(request, host, content, has_egress),
        justification,
        proposal_id,
        request,
    )


@server.tool(name="capability-block")
async def capability_block(
    context: Context,
    justification: Words,
    capability: Annotated[str, Field(description="apt, npm, memory, cpus; push for one under review.")] = "",
    value: Annotated[str, Field(description="A package, a size (8g), a number of cores, a sha256:…")] = "",
    proposal_id: Again = "",
) -> str:
    """Ask the owner for a package, memory, cpus, or one reviewed push. A new container may follow. Waits."""
    return await _ask(
        context, "capability-block", lambda: capability_wish(capability, value), justification, proposal_id, {}
    )


@server.tool(name="list-egress-routes")
async def list_egress_routes() -> str:
    """The hosts, paths and methods that you can reach now."""
    return await anyio.to_thread.run_sync(_routes)


def _routes() -> str:
    proxy = os.environ["BOTTLE_PROXY"]
    if "//egress:" not in proxy:
        return json.dumps(
            {"routes": [], "note": "this bottle has no routes; pipelock allows the hosts of its allowlist"}
        )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy}))
    try:
        with opener.open("http://_egress.local/routes", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError as error:
        raise ToolError(f"egress does not answer: {error}") from None


def refused_request(refused: dict[str, Any] | None) -> dict[str, str]:
    """The known keys of the agent's copy of a refusal, as short text. Raises ToolError for anything else."""
    if refused is None:
        return {}
    known = ("method", "host", "path", "reason", "refused_by", "content", "forge")
    kept: dict[str, str] = {key: refused[key] for key in known if key in refused}
    for key, value in kept.items():
        if not isinstance(value, str) or len(value) > 300 or not value.isprintable():
            raise ToolError(f"refused.{key}: write text of at most 300 characters, as in the refusal")
    return kept


async def _ask(
    context: Any, tool: str, wish: Callable[[], dict[str, Any]], words: str, proposal_id: str, request: dict[str, str]
) -> str:
    proposal = store.get(proposal_id) if proposal_id else None
    if proposal_id and proposal is None:
        raise ToolError(f"{proposal_id}: no such proposal")
    if proposal is None:
        try:
            proposal = store.add(tool, Change.read(wish()).to_json(), words, request)
        except (ChangeError, WishError, LimitError, FullError) as error:
            raise ToolError(str(error)) from None
        _log("proposed", proposal)
    return answer(await _verdict(context, proposal))


async def _verdict(context: Any, proposal: Proposal) -> Proposal:
    """The proposal once it is decided, or unchanged when the time is up."""
    started, last_report = time.monotonic(), 0.0
    while proposal.verdict == PENDING and time.monotonic() - started < _WAIT:
        if time.monotonic() - last_report >= _TELL:
            last_report = time.monotonic()
            note = f" ({proposal.note})" if proposal.note else ""
            await context.report_progress(last_report - started, _WAIT, f"{proposal.id}: waiting for the owner{note}")
        await anyio.sleep(_LOOK)
        proposal = store.get(proposal.id) or proposal
    return proposal


def _log(event: str, proposal: Proposal) -> None:
    entry = {"part": "supervise", "event": event, "id": proposal.id, "tool": proposal.tool, "change": proposal.change}
    print(json.dumps(entry), flush=True)


def main() -> None:
    """Run the server."""
    global store
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the agent's requests
    store = Proposals()
    uvicorn.run(Waiting(server.streamable_http_app()), host=server.settings.host, port=PORT, http=Connection)


if __name__ == "__main__":
    main()
