"""mitmdump itself, in the proxies' image: what only its console, its web page and its sign-in need is not in there.

Runs inside the run's own containers. Its addons are all loaded and called, as everywhere else.
"""

from __future__ import annotations

import sys
from unittest.mock import MagicMock

# Imported by addons of mitmproxy 12 (cut, onboarding, asgiapp, proxyauth), and used where that is asked for.
for name in [
    "argon2",
    "asgiref",
    "asgiref.compatibility",
    "asgiref.wsgi",
    "flask",
    "ldap3",
    "passlib",
    "passlib.apache",
    "pyperclip",
    "werkzeug",
    "werkzeug.security",
]:
    sys.modules.setdefault(name, MagicMock(__path__=[]))

from mitmproxy.tools.main import mitmdump  # noqa: E402

if __name__ == "__main__":
    mitmdump(sys.argv[1:])
