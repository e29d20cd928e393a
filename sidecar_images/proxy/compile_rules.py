"""Writes the databases of DLP's rules into the image, so that no proxy has to compile them when it starts."""

from __future__ import annotations

from claude_bottle.dlp.rules.compiled import FOLDER, keeping
from claude_bottle.dlp.rules.ruleset import RuleSet


def main() -> None:
    """Entry point."""
    with keeping() as databases:
        RuleSet()
    FOLDER.mkdir()
    for name, data in databases.items():
        (FOLDER / name).write_bytes(data)


if __name__ == "__main__":
    main()
