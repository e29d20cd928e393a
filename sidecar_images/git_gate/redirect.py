"""An upstream that is at another address: only the same repository with `.git` is followed, else its owner is asked.

git is told to follow no redirect, for it would send the credential to where the answer points (http.followRedirects,
http.extraHeader: the header goes with each later request). So the gate asks itself, once, the declared host alone.
"""

from __future__ import annotations

import http.client
import re
import ssl
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from claude_bottle.policy.forward_proxy import login_headers, parse_proxy

from .remotes import Remote
from .tunnel import login_of, proxy_of

_REFS = "/info/refs?service=git-upload-pack"
_REFUSED = re.compile(r"returned error: 30[12378]\b")
_URL = re.compile(r"https?://[A-Za-z0-9._~:/@%+-]{1,300}\Z")
_ROOTS = Path("/run/git-gate/roots.pem")
_SECONDS = 30


def is_redirect(words: str) -> bool:
    """Whether this is what git says of a redirect that it does not follow."""
    return bool(_REFUSED.search(words))


def location(remote: Remote) -> str:
    """Where the upstream says that it is, without what git adds; "" where it does not say. Raises nothing."""
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
    """A connection that knows the same roots as git does."""
    context = ssl.create_default_context(cafile=str(_ROOTS) if _ROOTS.exists() else None)
    if not (proxy := proxy_of()):
        return http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=context)
    connection = http.client.HTTPSConnection(*parse_proxy(proxy), timeout=_SECONDS, context=context)
    connection.set_tunnel(host, port or 443, login_headers(login_of()))
    return connection
