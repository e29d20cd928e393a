"""Placeholders, and the credential that a request brings: none, a placeholder that egress replaces, or its own. Pure.

A program that requires a token at its start finds a placeholder in its environment. It is not secret, because anybody
can compute it. A request's head is searched for placeholders, but not its body, because a conversation that quotes the
environment must not be refused.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import unquote

from addons.frame.request_rules import CREDENTIAL_HEADERS, Header
from claude_bottle.policy.names.header_names import plain_name
from claude_bottle.policy.routes.aws_sigv4 import credential_id

# Browsers and HTTP libraries add these on their own (RFC 6265, 5.3), so they do not show that a client has an account.
_AMBIENT = frozenset(("cookie", "cookie2", "proxy-authorization"))
_START = "placeholder-"


def placeholder(name: str) -> str:
    """The value of an environment variable that stands for a credential. No vendor's tokens look like it."""
    return f"{_START}{name}-for-egress"


def own_credentials(
    headers: Sequence[Header], names: Iterable[str], *, injected: frozenset[str], allowed: frozenset[str]
) -> list[str]:
    """The headers that hold a credential other than a placeholder: plain names, each once.

    names: of the host's placeholders. injected, allowed: header names that egress sets, and that the route allows. The
    bare word `placeholder` counts as a placeholder too, because it carries no credential.
    """
    filled = {plain_name(name.encode()) for name in injected}
    looked_at = (CREDENTIAL_HEADERS - _AMBIENT - {plain_name(name.encode()) for name in allowed}) | filled
    values = {"placeholder", *map(placeholder, names)}
    foreign = dict.fromkeys(
        plain_name(raw) for raw, value in headers if value.strip() and values.isdisjoint(_credentials(value))
    )
    return [name for name in foreign if name in looked_at]


def misplaced(
    headers: Sequence[Header], path: str, *, here: frozenset[str], everywhere: frozenset[str], injected: frozenset[str]
) -> str | None:
    """The name of a placeholder in a place where egress does not replace it, or None.

    here, everywhere: names of the placeholders of the host, and of all hosts. injected: headers that egress sets.
    """
    filled = {plain_name(name.encode()) for name in injected}
    places = [(path, False), (unquote(path), False)]
    for raw, value in headers:
        places += ((text, plain_name(raw) in filled) for text in (raw.decode("latin-1"), *_credentials(value)))
    for text, replaced in places:
        if _START in text:
            for name in sorted(everywhere - here if replaced else everywhere):
                if placeholder(name) in text:
                    return name
    return None


def _credentials(value: bytes) -> Iterator[str]:
    """Possible credentials in a header's value: all of it, the part after a scheme, and both halves of Basic."""
    whole = value.decode("latin-1").strip()
    scheme, _, rest = whole.partition(" ")
    yield whole
    yield rest.strip() or whole
    if signed_by := credential_id(whole):
        yield signed_by
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(rest.strip(), validate=True).decode("latin-1")
        except (binascii.Error, ValueError):
            return
        yield from pair.partition(":")[::2]
