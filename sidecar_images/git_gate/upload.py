"""Runs before git upload-pack, for clients of protocol 2: fetches requested refs that the mirror lacks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from .wishes import error, requests


def relay(child: subprocess.Popen[bytes], said: int = 1) -> None:
    """Forward each request once the mirror has what it asks for. said: the descriptor to the client."""
    assert child.stdin is not None  # noqa: S101 - it is a pipe
    try:
        with os.fdopen(0, "rb", closefd=False) as client, child.stdin as served:
            for request, wish in requests(client.read):
                if wish.names or wish.ids:
                    from .extra_refs import bring  # imported on demand: many connections wait and ask for nothing
                    from .remotes import remote_of

                    if words := bring(remote_of(Path.cwd()), wish):
                        os.write(said, error(words))
                        return
                served.write(request)
                served.flush()
    except OSError:
        return  # the client or upload-pack has gone
    except Exception as failed:
        os.write(said, error(f"git-gate could not check this fetch: {type(failed).__name__}"))


def main() -> None:
    """The exit code is upload-pack's."""
    with subprocess.Popen(["/usr/bin/git", *sys.argv[1:]], stdin=subprocess.PIPE) as child:
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        threading.Thread(target=relay, args=[child], daemon=True).start()
        os._exit(child.wait())


if __name__ == "__main__":
    main()
