"""Prints or writes what is generated from the manifest. `make docs` runs it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from claude_bottle.manifest.agent_env import programs_page
from claude_bottle.manifest.docs import manifest_page
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.words import BOTTLE
from claude_bottle.plan.page import with_keys_of_routes


def stack_file_schema() -> dict[str, Any]:
    """JSON Schema of a stack file with a bottle."""
    bottle = Manifest.model_json_schema()
    definitions = bottle.pop("$defs")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "claude-bottle stack file",
        "type": "object",
        "properties": {"config": {"type": "object", "properties": {BOTTLE: bottle}}},
        "$defs": definitions,
    }


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m claude_bottle.cli.manifest_tool", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("schema", help="print the JSON Schema of a stack file")
    commands.add_parser("docs", help="print docs/manifest.md")
    commands.add_parser("programs", help="print docs/programs.md")
    page = commands.add_parser("plan", help="write the keys of a route into docs/plan.md")
    page.add_argument("file", type=Path, help="the page")
    args = parser.parse_args(argv)
    if args.command == "schema":
        print(json.dumps(stack_file_schema(), indent=2))
    elif args.command == "docs":
        print(manifest_page(), end="")
    elif args.command == "programs":
        print(programs_page(), end="")
    else:
        args.file.write_text(with_keys_of_routes(args.file.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
