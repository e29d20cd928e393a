"""How often dlp/rules/inbound.py takes an honest page for one that instructs an agent: bench/inbound.py FOLDER...

Looks at every page and README below the folders (.md, .rst, .txt, .html), prints each finding and the rate. The pages
are those of the packages that a machine has; nothing of them is in this repository.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from claude_bottle.dlp.rules.inbound import LIMIT, instructions_in

ENDINGS = (".md", ".rst", ".txt", ".html")


def main() -> None:
    """Entry point."""
    files = [file for folder in sys.argv[1:] for file in Path(folder).rglob("*") if file.suffix.lower() in ENDINGS]
    seen: set[bytes] = set()
    hits = size = 0
    for file in files:
        try:
            data = file.read_bytes()[:LIMIT]
        except OSError:
            continue
        if len(data) < 500 or data in seen:
            continue
        seen.add(data)
        size += len(data)
        if rules := instructions_in(data):
            hits += 1
            print(file.name, file.parent.name, rules)
    rate = 100 * hits / max(len(seen), 1)
    print(f"{hits} of {len(seen)} pages ({rate:.2f} %), {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
