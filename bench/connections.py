"""How the proxies of a bottle grow with open connections: memory, and the time of another client's small request.

`python bench/connections.py [SHARE]`; SHARE: of the numbers of connections, for a quick look (0.1).

Each connection goes from the agent's network to a host, through both proxies, and stays open after one request. The
last column is the slope in a plot of both logarithms, of what comes on top of no connections (bench/growth.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OPEN = (0, 100, 500, 1000, 2000)
_AT_ONCE, _REQUESTS = 16, 100


async def hold(proxy: str, count: int) -> None:
    """In the client's container: open them, time small requests, and keep them until standard input ends."""
    import traffic

    path, turn = traffic.Path(proxy), asyncio.Semaphore(_AT_ONCE)

    async def one() -> object:
        async with turn:
            ends = await path.connect()
            await traffic.exchange(ends, "GET /small")
            return ends

    kept = await asyncio.gather(*(one() for _ in range(count + 1)))
    times: dict[str, list[float]] = {"kept": [], "fresh": []}
    for _ in range(_REQUESTS):
        for kind, spent in times.items():
            begun = time.perf_counter()
            ends = kept[-1] if kind == "kept" else await path.connect()
            await traffic.exchange(ends, "GET /small")
            spent.append((time.perf_counter() - begun) * 1e3)
            if kind == "fresh":
                ends[1].close()
    print(json.dumps({kind: sorted(spent)[_REQUESTS // 2] for kind, spent in times.items()}), flush=True)
    await asyncio.to_thread(sys.stdin.read)


def main(share: float) -> None:
    """Entry point."""
    root = Path(__file__).resolve().parents[1]
    sys.path[:0] = [str(root), str(root / "tests/integration")]
    from bench.chain import CHAIN, PYTHON, memory, setting
    from bench.growth import Rows, show

    rows: Rows = {}
    program = {"bench/connections.py": Path(__file__).read_bytes()}
    with tempfile.TemporaryDirectory() as name, setting(Path(name), {}, b"", program) as here:
        for size in (round(size * share) for size in OPEN):
            argv = ["docker", "exec", "-i", here.client, PYTHON, "/bench/connections.py", here.paths[CHAIN], str(size)]
            with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
                assert client.stdin and client.stdout  # noqa: S101 - asked for above
                for kind, spent in json.loads(client.stdout.readline()).items():
                    rows.setdefault(f"connections: a small request, {kind}, ms", {})[size] = spent
                for part, container in zip(("egress", "pipelock"), here.parts[CHAIN], strict=True):
                    rows.setdefault(f"connections: {part}, MB", {})[size] = memory(container)
                client.stdin.close()
    show(rows, "ms and MB")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(hold(sys.argv[1], int(sys.argv[2])))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
