"""Stands before git upload-pack, for clients of protocol 2: what a mirror lacks of their wishes is brought first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from .wishes import error, requests


def relay(child: subprocess.Popen[bytes], said: int = 1) -> None:
    """Hand each request on when what it wishes is there. said: the descriptor to the client."""
    assert child.stdin is not None  # noqa: S101 - it is a pipe
    try:
        with os.fdopen(0, "rb", closefd=False) as client, child.stdin as served:
            for request, wish in requests(client.read):
                if wish.names or wish.ids:
                    from .extra_refs import bring  # not before it is needed: many connections wait and ask for nothing
                    from .remotes import remote_of

                    if words := bring(remote_of(Path.cwd()), wish):
                        os.write(said, error(words))
                        return
                served.write(request)
                served.flush()
    except OSError:
        return  # the client has gone, or upload-pack has
    except Exception as failed:
        os.write(said, error(f"git-gate could not look at this fetch: {type(failed).__name__}"))


def main() -> None:
    """The exit code is upload-pack's."""
    with subprocess.Popen(["/usr/bin/git", *sys.argv[1:]], stdin=subprocess.PIPE) as child:
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        threading.Thread(target=relay, args=[child], daemon=True).start()
        os._exit(child.wait())


if __name__ == "__main__":
    main()
