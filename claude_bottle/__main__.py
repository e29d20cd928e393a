"""`python -m claude_bottle` is `bottle`."""

from claude_bottle.cli.app import main

main()
