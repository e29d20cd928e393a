"""How fast the DLP engine reads bodies of 1 MB with the whole rule set, by kind of body. `make bench` runs it."""

from __future__ import annotations

import base64
import json
import random
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from bench.traffic import text
from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.rules.ruleset import RuleSet

SIZE = 1_000_000


def bodies() -> dict[str, tuple[bytes, str]]:
    """Name to body and content type; none holds a secret."""
    numbers = random.Random(9)
    words = text(SIZE)
    code = "\n".join(f'    value_{n} = compute(items[{n}], name="part-{n}")  # step {n}' for n in range(SIZE // 52))
    blocks = [{"type": "text", "text": code[start : start + 4000]} for start in range(0, SIZE - 120_000, 4000)]
    prompt = json.dumps({"model": "m", "messages": [{"role": "user", "content": blocks}]})
    image = json.dumps({"image": base64.b64encode(numbers.randbytes(SIZE * 3 // 4)).decode()})
    lock = "\n".join(f'"package-{n}": "sha512 {numbers.randbytes(32).hex()}"' for n in range(SIZE // 92))
    return {
        "random text": (words, "text/plain"),
        "random bytes": (numbers.randbytes(SIZE), "application/octet-stream"),
        "program code": (code.encode()[:SIZE], "text/plain"),
        "a prompt in JSON": (prompt.encode()[:SIZE], "application/json"),
        "an image as base64 in JSON": (image.encode(), "application/json"),
        "a lock file of digests": (lock.encode()[:SIZE], "text/plain"),
    }


def measure(rounds: int = 7) -> dict[str, list[float]]:
    """MB/s of each round, by kind; the kinds alternate."""
    dlp, rates = Dlp(RuleSet()), {}
    chosen = bodies()
    for number in range(rounds + 1):
        for name, (body, kind) in chosen.items():
            started = time.perf_counter()
            finding = dlp.look_at_body(body, kind, "")
            taken = time.perf_counter() - started
            if finding is not None:
                raise SystemExit(f"{name} sets off an alarm: {finding}")
            if number:  # the first builds what RE2 builds lazily
                rates.setdefault(name, []).append(len(body) / taken / 1e6)
    return rates


def main() -> None:
    """Entry point."""
    for name, speeds in measure().items():
        shown = f"{min(speeds):7.0f} {statistics.median(speeds):7.0f} {max(speeds):7.0f}"
        print(f"{name:<30} {shown} MB/s (minimum, median, maximum)")


if __name__ == "__main__":
    main()
