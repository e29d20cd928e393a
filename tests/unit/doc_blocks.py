"""The fenced blocks and the code in prose of README.md, SECURITY.md, CONTRIBUTING.md and docs/. Pure.

The language of a fence says what a block is: `sh` is typed into a shell, `yaml` is of a stack file, `json` is what a
program prints, `text` is a drawing. A fence without one of these is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ("sh", "yaml", "json", "text")
PAGES = [ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md")] + sorted((ROOT / "docs").glob("*.md"))
# Of a page that is generated from what is tested, the rows hold wrong input and answers (tests/unit/test_messages.py).
ANSWERS = ROOT / "docs/messages.md"


@dataclass(frozen=True)
class Block:
    """line: of its fence. language: "" where the fence has none."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def typed(self) -> list[str]:
        """The lines that are typed: without comments, and without a prompt of their own."""
        return [line for line in self.text.splitlines() if line.strip() and not line.lstrip().startswith("#")]

    @property
    def instead(self) -> list[str]:
        """What a comment says may be typed instead: `# or: …`, `# or, after that: …`."""
        return re.findall(r"# or\b[^:]*: (.*)", self.text)


def _read(page: Path) -> tuple[list[Block], list[tuple[int, str]]]:
    """The blocks, and the lines of prose with their numbers."""
    blocks, prose = list[Block](), list[tuple[int, str]]()
    fence, language, begun, inside = "", "", 0, list[str]()
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence_match = re.match(r"\s*(`{3,}|~{3,})\s*(.*)", line)
        if not fence and fence_match:
            fence, language, begun, inside = fence_match[1], fence_match[2].strip(), number, []
        elif fence and fence_match and fence_match[1].startswith(fence) and not fence_match[2]:
            blocks.append(Block(str(page.relative_to(ROOT)), begun, language, "\n".join(inside)))
            fence = ""
        elif fence:
            inside.append(line)
        else:
            prose.append((number, line))
    assert not fence, f"{page}:{begun}: a fence that does not end"
    return blocks, prose


def blocks() -> list[Block]:
    return [block for page in PAGES for block in _read(page)[0]]


def inline() -> Iterator[tuple[str, str]]:
    """Place and text of each piece of code in prose; one that begins on a line and ends on the next is one piece."""
    for page in PAGES:
        if page == ANSWERS:
            continue
        prose = _read(page)[1]
        starts, text = list[tuple[int, int]](), ""
        for number, line in prose:
            starts.append((len(text), number))
            text += line + "\n"
        for match in re.finditer(r"(`+)((?:(?!\n\n)[^`])+?)\1(?!`)", text):
            number = max(number for start, number in starts if start <= match.start())
            yield f"{page.relative_to(ROOT)}:{number}", " ".join(match[2].split())
