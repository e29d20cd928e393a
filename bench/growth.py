"""How work grows with tokens, routes, DLP patterns, remotes, proposals and audit records; with open connections:
bench/connections.py.

`python bench/growth.py [ROUNDS [SHARE]]`; SHARE: of the sizes, for a quick look (0.01).

Processor time, so that others on the machine count little; the least of some rounds, in which the sizes take turns.
The last column is the slope in a plot of both logarithms: 1 grows with the number, 2 with its square, 0 not at all.
"""

from __future__ import annotations

import json
import random
import sqlite3
import string
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from math import log
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.dlp_speed import bodies
from claude_bottle.approvals.audit.log import Audit
from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.rules.ruleset import RuleSet
from claude_bottle.dlp.tokens.reflection import TokenMask
from claude_bottle.host.git_remotes import RemoteReader, remotes_file
from claude_bottle.manifest.model import Manifest
from claude_bottle.policy.proposals import REJECTED, Proposals
from claude_bottle.policy.routes.table import RouteTable

TOKENS, ROUTES, PATTERNS = (1, 10, 50, 200, 300), (10, 100, 1000, 5000), (1, 10, 50, 200)
REMOTES, PROPOSALS, RECORDS = (1, 10, 50, 200), (10, 100, 1000, 10_000), (100, 1000, 10_000, 100_000)
_LETTERS = string.ascii_letters + string.digits
_CHOICE = random.Random(20260211)  # noqa: S311 - the same in every run
_BODIES = {"text": bodies()["program code"][0], "base64": bodies()["an image as base64 in JSON"][0]}
_KINDS: list[Callable[[], str]] = [
    lambda: "ghp_" + "".join(_CHOICE.choices(_LETTERS, k=36)),
    lambda: "sk-ant-oat01-" + "".join(_CHOICE.choices(_LETTERS + "-_", k=95)),
    lambda: "".join(_CHOICE.choices("0123456789abcdef", k=40)),
    lambda: "alice:" + "".join(_CHOICE.choices(_LETTERS, k=24)),
]

Work = Callable[[], object]
Rows = dict[str, dict[int, float]]  # what was done: size to milliseconds


def timed(rows: Rows, what: str, size: int, work: Work) -> Any:
    """What the work gives; the least of its times is kept."""
    started = time.process_time()
    result = work()
    spent = (time.process_time() - started) * 1e3
    of_size = rows.setdefault(what, {})
    of_size[size] = min(spent, of_size.get(size, spent))
    return result


def tokens(rows: Rows, size: int) -> None:
    """The mask of some tokens: as it serves at once, and when it is compiled."""
    known = [_KINDS[number % len(_KINDS)]() for number in range(size)]
    mask: TokenMask = timed(rows, "tokens: build, for requests", size, lambda: TokenMask(known))
    timed(rows, "tokens: build, for answers too", size, mask.build)
    for how in ("at once", "compiled"):
        for kind, body in _BODIES.items():
            timed(rows, f"tokens: request, 1 MB of {kind}, {how}", size, partial(mask.found_in, body))
            timed(rows, f"tokens: answer, 1 MB of {kind}, {how}", size, partial(mask.mask, body))
        if how == "at once":
            timed(rows, "tokens: compile, beside", size, mask.compile)


def routes(rows: Rows, size: int) -> None:
    """A table of routes, a few to a host."""
    listed = [{"host": f"n{number // 4}.example.com", "paths": [f"/p{number % 4}"]} for number in range(size)]
    data = json.dumps({"version": 1, "routes": listed}).encode()
    table: RouteTable = timed(rows, "routes: parse", size, lambda: RouteTable.parse(data))
    ask = partial(table.decide, scheme="https", host="n1.example.com", port=443, method="GET", path="/p1/x")
    timed(rows, "routes: 100 decisions", size, lambda: [ask() for _ in range(100)])


def patterns(rows: Rows, size: int) -> None:
    """The owner's patterns, beside the rules that are always there."""
    own = [(f"own-{number}", f"own{number:04d}-[A-Za-z0-9]{{24}}") for number in range(size)]
    rules: RuleSet = timed(rows, "patterns: compile, beside", size, lambda: RuleSet(extra=own))
    dlp = Dlp(rules)
    for kind, body in _BODIES.items():
        dlp.look_at_body(body[:1000], "text/plain", "")
        timed(rows, f"patterns: 1 MB of {kind}", size, partial(dlp.look_at_body, body, "text/plain", ""))


def remotes(rows: Rows, size: int) -> None:
    """A manifest with git remotes: read, checked, and written for the gate."""
    listed = [{"name": f"r{n}", "upstream": f"https://git.example.com/a/r{n}", "token_ref": "T"} for n in range(size)]
    raw = {"git": listed}
    manifest: Manifest = timed(rows, "remotes: read the manifest", size, lambda: Manifest.model_validate(raw))
    reader = RemoteReader(Path("/nowhere"), lambda _: "a-token-of-length")
    read = timed(rows, "remotes: check them", size, lambda: reader.read(manifest.git))
    timed(rows, "remotes: write the gate's file", size, lambda: remotes_file(read))


def proposals(rows: Rows, size: int) -> None:
    """A store of earlier proposals, which have their verdict."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "proposals.db"
        store = Proposals(file)
        fixed = ("routes", '{"path": "x"}', "words", "{}", REJECTED, "no", 2.0, "")
        with closing(sqlite3.connect(file)) as db, db:
            old = ((f"p-{number:010x}", number, *fixed) for number in range(size))
            db.executemany("insert into proposals values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", old)
        timed(rows, "proposals: one more", size, lambda: store.add("routes", {"path": "y"}, "words", {}))
        timed(rows, "proposals: list all", size, store.all)
        timed(rows, "proposals: get one", size, lambda: store.get("p-0000000001"))


def records(rows: Rows, size: int) -> None:
    """An audit log."""
    with tempfile.TemporaryDirectory() as folder:
        chain = Audit("s", Path(folder))
        event = {"event": "decision", "part": "egress", "verdict": "allowed", "what": "GET api.example.com", "count": 1}
        timed(rows, "records: append them at once", size, lambda: chain.append(*[event] * size))
        timed(rows, "records: 10 more, one by one", size, lambda: [chain.append(event) for _ in range(10)])
        timed(rows, "records: the newest", size, lambda: next(chain.latest()))
        timed(rows, "records: verify", size, chain.verify)


def slope(times: dict[int, float]) -> float:
    """Of the line that fits best, both axes logarithmic; of what comes on top, if there is a size of 0."""
    rest = times.get(0, 0.0)
    points = [(log(size), log(max(spent - rest, 1e-3))) for size, spent in times.items() if size]
    x0, y0 = (sum(column) / len(points) for column in zip(*points, strict=True))
    return sum((x - x0) * (y - y0) for x, y in points) / sum((x - x0) ** 2 for x, _ in points)


WORK = (
    (tokens, TOKENS),
    (routes, ROUTES),
    (patterns, PATTERNS),
    (remotes, REMOTES),
    (proposals, PROPOSALS),
    (records, RECORDS),
)


def main(rounds: int, share: float) -> None:
    """Entry point."""
    rows: Rows = {}
    for _ in range(rounds):
        for work, sizes in WORK:
            for size in sorted({max(1, round(size * share)) for size in sizes}):
                work(rows, size)
    show(rows, "ms")


def show(rows: Rows, unit: str) -> None:
    """Print a line for each row, with its slope."""
    shown: tuple[int, ...] = ()
    for what, times in rows.items():
        if tuple(times) != shown:
            shown = tuple(times)
            print(f"\n{unit:50}" + "".join(f"{size:>9}" for size in shown) + "    slope")
        print(f"{what:50}" + "".join(f"{spent:9.1f}" for spent in times.values()) + f"{slope(times):9.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3, float(sys.argv[2]) if len(sys.argv) > 2 else 1.0)
