"""Open flows of a proxy, so that they can be ended when the policy in force would now refuse them."""

from __future__ import annotations

from collections.abc import Callable

from mitmproxy import connection, http

from addons.frame.decision_log import log_decision, log_refusal
from addons.http.flow_end import end_connection, end_flow, peers
from claude_bottle.dlp.path_privacy import is_private
from claude_bottle.policy.refusal import Refusal


class OpenFlows:
    """Requests that were allowed and whose responses have not ended; spliced tunnels."""

    def __init__(self) -> None:
        self._flows: dict[str, http.HTTPFlow] = {}
        self._tunnels: dict[str, tuple[connection.Client, str, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._flows or self._tunnels)

    def add(self, flow: http.HTTPFlow) -> None:
        """Note an allowed request."""
        self._flows[flow.id] = flow

    def add_tunnel(self, client: connection.Client, host: str, port: int) -> None:
        """Note a spliced connection."""
        self._tunnels[client.id] = (client, host, port)

    def remove(self, flow: http.HTTPFlow) -> None:
        """Forget a flow that has ended by itself."""
        self._flows.pop(flow.id, None)

    def remove_client(self, client: connection.Client) -> list[http.HTTPFlow]:
        """Forget the flows of a client's connection that has ended. Returns those that had not ended by themselves."""
        self._tunnels.pop(client.id, None)
        keys = [key for key, flow in self._flows.items() if flow.client_conn.id == client.id]
        return [self._flows.pop(key) for key in keys]

    def end_refused(
        self,
        refuse_flow: Callable[[http.HTTPFlow], Refusal | None],
        refuse_tunnel: Callable[[str, int, list[str]], Refusal | None],
    ) -> None:
        """End and log the flows and tunnels that are now refused. Others stay untouched."""
        for flow in list(self._flows.values()):
            if (refusal := refuse_flow(flow)) is not None:
                self.remove(flow)
                log_refusal(flow, refusal, ended=True)
                end_flow(flow)
        for client, host, port in list(self._tunnels.values()):
            if (refusal := refuse_tunnel(host, port, peers(client))) is not None:
                self._tunnels.pop(client.id, None)
                shown = {"withheld": "host"} if is_private(host, "") else {"host": host}
                log_decision(refusal.by, decision="refused", reason=refusal.reason, **shown, ended=True)
                end_connection(client)
