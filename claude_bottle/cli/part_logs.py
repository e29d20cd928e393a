"""The logs of a bottle's parts from the engine, each line with the part that wrote it."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterable, Sequence
from typing import IO

from claude_bottle.engines.chosen import open_client, open_host
from claude_bottle.engines.client import Local
from claude_bottle.policy.errors import one_line
from claude_bottle.policy.names.roles import ROLES


def parts_of(stack: str) -> list[str]:
    """The parts that exist, running or not, in the order of ROLES."""
    roles = {part.role for part in open_host(stack).bottles() if part.stack == stack}
    return [role for role in ROLES if role in roles]


def merged(logs: Iterable[tuple[str, str]]) -> list[str]:
    """The lines of several logs, sorted by time. logs: part and text, with the engine's time before each line."""
    lines = [(line.partition(" "), part) for part, text in logs for line in text.splitlines() if line]
    return [_line(part, when, said) for (when, _, said), part in sorted(lines, key=lambda line: line[0][0])]


def _line(part: str, when: str, said: str) -> str:
    return one_line(f"{when[:19]}  {part:<9}  {said}")  # logged requests contain text that an agent chooses


def show(stack: str, parts: Sequence[str], *, follow: bool, tail: int) -> int:
    """Print the logs. Returns 1 if the engine could not provide one."""
    client = open_client(stack)
    running = [(part, _started(client.log(part, tail=tail, follow=follow))) for part in parts]
    try:
        if follow:
            readers = [threading.Thread(target=_copy, args=(part, process.stdout)) for part, process in running]
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join()
        else:
            for line in merged([(part, process.communicate()[0]) for part, process in running]):
                print(line)
    except KeyboardInterrupt:
        return 0
    finally:
        for _, process in running:
            process.terminate()
    return max(process.wait() for _, process in running) and 1


def _started(command: Local) -> subprocess.Popen[str]:
    pipe, same = subprocess.PIPE, subprocess.STDOUT
    return subprocess.Popen(command.argv, stdout=pipe, stderr=same, text=True, errors="replace", env=command.env)


def _copy(part: str, lines: IO[str] | None) -> None:
    for line in lines or ():
        when, _, said = line.rstrip("\n").partition(" ")
        print(_line(part, when, said), flush=True)
