"""Why a text is no host name, if the intention is clear: a URL, a port, a path, a wildcard. Pure."""

from __future__ import annotations

import re

from claude_bottle.policy.names.hosts import canonical_pattern

# RFC 3986, 3: scheme, authority (3.2: user information, host, port), and the rest of it.
_PARTS = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?(?:[^@/?#]*@)?(?P<host>[^:/?#@]*)(?::(?P<port>[0-9]*))?"
    r"(?P<rest>[/?#].*)?\Z"
)
_EXAMPLE = "write an exact name (api.example.com) or a leading wildcard (*.example.com)"


def host_mistake(text: str) -> str | None:
    """The mistake in a text that is no host name, and what to write instead; None if that is unclear."""
    if text != text.strip():
        return f"has a blank before or after it{_instead(text.strip())}"
    parts = _PARTS.match(text)
    if parts is None or not (parts["host"] or parts["scheme"]):
        return None
    path = re.split(r"[?#]", parts["rest"] or "")[0].rstrip("/")
    more = f", and path: [{path}] to allow only that path" if path else ""
    if parts["scheme"]:
        return f"a URL is not a host name{_instead(parts['host'], more)}"
    if parts["rest"]:
        return f"a host name has no path{_instead(parts['host'], more)}"
    if parts["port"] is not None:
        return f"a host name has no port, because http (80) and https (443) set it{_instead(parts['host'])}"
    if "@" in text:
        return f"a host name has no user{_instead(parts['host'])}"
    if text.endswith("."):
        return f"a host name ends without a dot{_instead(text.rstrip('.'))}"
    if "*" in text:
        return f"a wildcard stands for whole labels, once, before a name of two or more; {_EXAMPLE}"
    return None


def _instead(host: str, more: str = "") -> str:
    try:
        return f"; write {canonical_pattern(host)}{more}"
    except ValueError as error:
        return f", and {host} is none either ({error}); {_EXAMPLE}" if host else f"; {_EXAMPLE}"
