"""Header fields for one connection only: a proxy removes them, so that none acts on the next hop. Pure.

If `Connection: authorization` were forwarded, an upstream would drop the injected credential, or any other field that
it relies on (RFC 9110, 7.6.1; "hop-by-hop headers" in Nathan Davison's research of 2019).
"""

from __future__ import annotations

from collections.abc import Sequence

Fields = Sequence[tuple[bytes, bytes]]

_ALWAYS = frozenset(
    [b"keep-alive", b"proxy-connection", b"proxy-authorization", b"proxy-authenticate", b"http2-settings"]
)
# Fields that determine a message's destination or end: a Connection header that names one is an attack.
_NEVER_NAMED = frozenset(
    [b"host", b"content-length", b"transfer-encoding", b"content-type", b"content-encoding", b"expect", b"trailer"]
)
_OWN_OPTIONS = frozenset([b"close", b"keep-alive"])
# Not allowed in trailers: framing, routing, content format, authentication (RFC 9110, 6.5.1).
_NOT_IN_TRAILERS = (
    _ALWAYS
    | _NEVER_NAMED
    | frozenset(
        [
            b"authorization",
            b"cookie",
            b"set-cookie",
            b"connection",
            b"te",
            b"upgrade",
            b"content-range",
            b"range",
            b"cache-control",
        ]
    )
)


def end_to_end(fields: Fields) -> tuple[tuple[bytes, bytes], ...]:
    """The fields without those of this connection. Raises ValueError if a Connection field names one that it must not.

    `close` stays, because it ends the client's connection too. Of upgrades, only WebSocket's stays.
    """
    options = {
        word.strip().lower() for name, value in fields if name.lower() == b"connection" for word in value.split(b",")
    }
    if options & _NEVER_NAMED:
        raise ValueError("a Connection header that names a header of the message itself")
    to_websocket = [value.strip().lower() for name, value in fields if name.lower() == b"upgrade"] == [b"websocket"]
    out = (_ALWAYS | options | {b"connection", b"te", b"upgrade"}) - ({b"upgrade"} if to_websocket else frozenset())
    kept = [(name, value) for name, value in fields if name.lower() not in out]
    if len(kept) == len(fields):
        return tuple(fields)
    own = [word for word in sorted(options) if word in _OWN_OPTIONS] + ([b"Upgrade"] if to_websocket else [])
    if own:
        kept.append((b"Connection", b", ".join(own)))
    if any(name.lower() == b"te" and b"trailers" in value.lower() for name, value in fields):
        kept.append((b"TE", b"trailers"))
    return tuple(kept)


def check_trailers(fields: Fields) -> None:
    """Raise ValueError for a trailer that a server could treat as a header."""
    for name, _ in fields:
        if name.lower() in _NOT_IN_TRAILERS:
            raise ValueError(f"{name.decode('latin-1')[:40]} in a trailer")
