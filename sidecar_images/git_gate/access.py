"""The access hook: refreshes the mirror before each contact. One line on stdout is shown to a refused client."""

from __future__ import annotations

import sys
from pathlib import Path

from . import journal
from .mirror import UpstreamError, refresh
from .mirror_state import no_room
from .remotes import remote_of


def main() -> int:
    """git daemon passes service, path, host, canonical host, address, port. Only 0 admits the client."""
    service, path = sys.argv[1], Path(sys.argv[2])
    try:
        remote = remote_of(path)
        if service not in ("upload-pack", "receive-pack"):
            raise UpstreamError(f"git-gate does not serve {service}")
        old = refresh(remote)
        if service == "receive-pack":
            if why := no_room(remote):
                raise UpstreamError(why)
            if old:
                raise UpstreamError(f"git-gate cannot push now, {old}")
    except Exception as error:
        journal.write(service, path.stem, "refused", reason=str(error))
        print(" ".join(str(error).split())[:900])
        return 1
    journal.write(service, remote.name, "stale" if old else "allowed", **({"reason": old} if old else {}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
