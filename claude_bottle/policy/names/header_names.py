"""Names of headers, as the loosest reader has them. Pure.

CGI, WSGI and PHP make `_` of every character but letters and digits (RFC 3875, 4.1.18; PEP 3333).
"""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(maxsize=1024)
def plain_name(name: bytes) -> str:
    """A header's name as the loosest reader has it."""
    return re.sub("[^a-z0-9]", "-", name.decode("latin-1").lower())
