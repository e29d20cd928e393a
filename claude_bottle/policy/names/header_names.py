"""Header names as the loosest reader treats them. Pure.

CGI, WSGI and PHP turn every character but letters and digits into `_` (RFC 3875, 4.1.18; PEP 3333).
"""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(maxsize=1024)
def plain_name(name: bytes) -> str:
    """A header's name in lower case, with `-` for every character but letters and digits."""
    return re.sub("[^a-z0-9]", "-", name.decode("latin-1").lower())
