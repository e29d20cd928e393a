"""The command line of the manifest: `python -m claude_bottle.cli.manifest_tool schema|docs|programs|plan|convert`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from claude_bottle.cli.legacy_convert import convert
from claude_bottle.host.stack_names import STACKS, stack_path
from claude_bottle.manifest.agent_env import programs_page
from claude_bottle.manifest.docs import manifest_page
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.words import BOTTLE
from claude_bottle.plan.page import with_keys_of_routes
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.own_command import own_command


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


def _convert(file: Path, out: Path) -> None:
    try:
        files = convert(json.loads(file.read_text()))
    except OSError as error:
        raise BottleError(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise BottleError(f"{file}: not JSON: {error}") from None
    targets = {stack_path(stack, out): text for stack, text in files.items()}
    existing = [str(target) for target in targets if target.exists()]
    if existing:
        raise BottleError(
            f"nothing was written, because these already exist: {', '.join(existing)}; move them, or name another --out"
        )
    out.mkdir(parents=True, exist_ok=True)
    for target, text in targets.items():
        target.write_text(text)
        print(f"wrote {target}")
    print(f"read the comments at the top of each; then: {own_command('plan NAME')}")


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m claude_bottle.cli.manifest_tool", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("schema", help="print the JSON Schema of a stack file")
    commands.add_parser("docs", help="print docs/manifest.md")
    commands.add_parser("programs", help="print docs/programs.md")
    page = commands.add_parser("plan", help="write the keys of a route into docs/plan.md")
    page.add_argument("file", type=Path, help="the page")
    old = commands.add_parser("convert", help="turn a JSON file of the original tool into stack files")
    old.add_argument("file", type=Path, help='a JSON object with "bottles" and "agents"')
    old.add_argument("--out", type=Path, default=STACKS, help="where to write (default: stacks)")
    args = parser.parse_args(argv)
    try:
        if args.command == "schema":
            print(json.dumps(stack_file_schema(), indent=2))
        elif args.command == "docs":
            print(manifest_page(), end="")
        elif args.command == "programs":
            print(programs_page(), end="")
        elif args.command == "plan":
            args.file.write_text(with_keys_of_routes(args.file.read_text()))
        else:
            _convert(args.file, args.out)
    except BottleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
