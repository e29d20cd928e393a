"""Upstreams that redirect: only the same repository with `.git` is followed, otherwise the owner must decide.

git is configured to follow no redirect, because it would send the credential to the redirect's target
(http.followRedirects, http.extraHeader: the header goes with each later request). So the gate itself asks once, and
only the declared host.
"""

from __future__ import annotations

import http.client
import re
import ssl
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from claude_bottle.policy.forward_proxy import login_headers, parse_proxy
from claude_bottle.policy.names.files import GATE_ROOTS

from .remotes import Remote
from .tunnel import login_of, proxy_of

_REFS = "/info/refs?service=git-upload-pack"
_REFUSED = re.compile(r"returned error: 30[12378]\b")
_URL = re.compile(r"https?://[A-Za-z0-9._~:/@%+-]{1,300}\Z")
_ROOTS = Path(GATE_ROOTS)
_SECONDS = 30


def is_redirect(words: str) -> bool:
    """Whether git's message reports a redirect that it does not follow."""
    return bool(_REFUSED.search(words))


def location(remote: Remote) -> str:
    """The address to which the upstream redirects, without git's suffix; "" if it names none. Raises nothing."""
    parts = urlsplit(remote.upstream)
    try:
        connection = connect(parts.hostname or "", parts.port)
        try:
            connection.request("GET", f"{parts.path}{_REFS}", headers={"User-Agent": "git/2", **remote.authorization()})
            header = connection.getresponse().headers.get("Location", "")
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return ""
    address = urljoin(remote.upstream, header)
    bare = address.removesuffix(_REFS)
    return bare if bare != address and _URL.match(bare) and bare != remote.upstream else ""


def connect(host: str, port: int | None) -> http.client.HTTPConnection:
    """A connection that trusts the same roots as git."""
    context = ssl.create_default_context(cafile=str(_ROOTS) if _ROOTS.exists() else None)
    if not (proxy := proxy_of()):
        return http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=context)
    connection = http.client.HTTPSConnection(*parse_proxy(proxy), timeout=_SECONDS, context=context)
    connection.set_tunnel(host, port or 443, login_headers(login_of()))
    return connection
