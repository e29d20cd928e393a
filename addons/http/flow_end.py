"""Ends one open flow, and only that one: other streams of the same connections continue.

Neither side may take the sent part for a complete message: HTTP/2 streams are reset, HTTP/1 connections closed within
the body.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from mitmproxy import connection, ctx, http
from mitmproxy.proxy.events import MessageInjected

# Keys of a flow's metadata, with which addons signal to addons/http/layers.py.
ENDED = "ended"  # nothing more of it is sent
# True: a streamed body holds so much that it must ask for room (`request_room`). False: it has asked.
LONG_WAIT = "long wait"
DISCARD = "discard"  # the body is read to its end but not kept
HOLD = "hold"  # bytes of a body of unknown length that are held before `request_overflow` is called


@dataclass
class FlowEnd(MessageInjected[None]):
    """Tells the layers of a client connection to end a flow."""


def end_flow(flow: http.HTTPFlow) -> None:
    """Send nothing more of this flow in either direction. May be called from a hook or a stream function."""
    flow.metadata[ENDED] = True
    tell_layers(FlowEnd(flow, None))


def tell_layers(event: FlowEnd) -> None:
    """Deliver an event to the layers of its flow's client connection."""
    for handler in _handlers(event.flow.client_conn):
        # In a task, because this may be called while the layers handle an event.
        asyncio.get_running_loop().create_task(handler.server_event(event))


def end_connection(client: connection.Client) -> None:
    """Abort a client's connection and all upstream connections of it."""
    for handler in _handlers(client):
        for io in list(handler.transports.values()):
            if io.writer is not None:
                io.writer.transport.abort()


def peers(client: connection.Client) -> list[str]:
    """The addresses of all upstream connections of a client's connection."""
    ends = [end for handler in _handlers(client) for end in list(handler.transports) if end is not handler.client]
    return [str(end.peername[0]) for end in ends if end.peername]


def _handlers(client: connection.Client) -> list:  # type: ignore[type-arg]
    server = ctx.master.addons.get("proxyserver")
    return [h for h in list(server.connections.values()) if h.client.id == client.id] if server else []
