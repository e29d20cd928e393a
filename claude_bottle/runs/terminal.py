"""Runs a Pulumi command on one stack. Changes and errors are shown on the terminal, the full output goes to a file."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from claude_bottle.host.pulumi_stack import must_be_installed
from claude_bottle.host.state_folder import state_folder
from claude_bottle.policy.errors import BottleError, printable
from claude_bottle.runs.events import Run

_VERBS = ("up", "destroy", "refresh")  # commands that write an event log
_TICK, _SILENT = 0.2, 20.0  # seconds between two polls; seconds without a line, if none can be drawn over


def run_pulumi(stack: str, *argv: str, env: Mapping[str, str] | None = None) -> None:
    """Raises BottleError, with the reason at the end of its message, if Pulumi fails.

    Ctrl-C goes to Pulumi too, which then ends by itself. If it were killed, as by `subprocess.run`, it would leave its
    lock.
    """
    must_be_installed(stack)
    log, run, begun = _log(stack, argv[0]), Run(stack), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="claude-bottle-") as folder, log.open("wb") as out:
        events = Path(folder) / "events"
        more = {"PULUMI_DEBUG_COMMANDS": "true"} if argv[0] in _VERBS else {}  # enables the option
        options = ["--event-log", str(events), "--non-interactive", "--color", "never"] if more else []
        command = ["pulumi", *argv, *[o for o in options if o not in argv], "--stack", stack]
        with _unharmed_by_ctrl_c():
            process = subprocess.Popen(command, env={**os.environ, **more, **(env or {})}, stdout=out, stderr=out)
            code = _watch(process, _read(events), run)
    for warning in run.warnings:
        _say(f"warning: {warning}")
    seconds = time.monotonic() - begun
    if code == 0:
        what = f"{run.steps} steps" if run.steps else "nothing to change"
        _say(f"pulumi {argv[0]} of {stack}: {what}, {seconds:.0f} s; full output: {log}")
        return
    raise BottleError("\n".join([f"pulumi {argv[0]} of {stack} failed; full output: {log}", *_errors(run, log)]))


@contextlib.contextmanager
def _unharmed_by_ctrl_c() -> Iterator[None]:
    """Handle Ctrl-C without an exception, because the terminal sends it to Pulumi too. An exception could occur between
    any two steps, also inside Popen, which would then treat an ended child as running. If SIGINT is ignored, as in a
    background job, it stays ignored.
    """
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: None)  # not SIG_IGN, because the child would inherit it
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _watch(process: subprocess.Popen[bytes], events: Iterator[dict[str, object]], run: Run) -> int:
    """Show changes until the process ends. Returns its exit code."""
    line, code, ended = _Line(), None, False
    while not ended:
        try:
            ended = code is not None  # read once more after its end
            code = process.poll()
            for event in iter(lambda: next(events), {}):
                if changed := run.take(event):
                    line.keep(f"  {changed}")
            line.show(run)
            if code is None:
                process.wait(_TICK)
        except subprocess.TimeoutExpired:
            continue
    line.clear()
    return code if code is not None else 1


class _Line:
    """A status line: redrawn on a terminal, else printed now and then while nothing else is."""

    def __init__(self) -> None:
        self._begun = self._last = time.monotonic()
        self._is_terminal = sys.stderr.isatty()

    def keep(self, text: str) -> None:
        """Print a line that stays."""
        self.clear()
        _say(text)
        self._last = time.monotonic()

    def show(self, run: Run) -> None:
        """Show the current step."""
        seconds = time.monotonic() - self._begun
        text = printable(f"  … {seconds:.0f} s{f': {run.now}' if run.now else ''}")
        if self._is_terminal:
            sys.stderr.write(f"\r{text[:100]}\033[K")
            sys.stderr.flush()
        elif time.monotonic() - self._last > _SILENT:
            self.keep(text)

    def clear(self) -> None:
        """Erase the status line."""
        if self._is_terminal:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


def _read(file: Path) -> Iterator[dict[str, object]]:
    """The events as they arrive; {} if there is none at the moment."""
    rest, place = b"", 0
    while True:
        if file.exists():
            with file.open("rb") as log:
                log.seek(place)
                data = log.read()
            place += len(data)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                event = json.loads(line) if line.strip() else {}
                if isinstance(event, dict) and event:
                    yield event
        yield {}


def _log(stack: str, verb: str) -> Path:
    """The log file for a run of this command. The previous one is kept next to it."""
    file = state_folder("log") / f"{stack}-{verb}.log"
    if file.exists():
        file.replace(file.with_suffix(".before.log"))
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))
    return file


def _errors(run: Run, log: Path) -> list[str]:
    lines = log.read_text(errors="replace").splitlines()
    return run.errors or [line for line in lines if line.strip()][-10:]


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)
