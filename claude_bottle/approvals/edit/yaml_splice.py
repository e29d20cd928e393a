"""Edits the text of a YAML document only where its data changes, and leaves every other character.

Text is inserted and deleted at the parser's marks (YAML 1.2, chapter 3.1); nothing else is rewritten. Pure. The caller
parses the result and compares it, because a document that has one value in two places (anchors) cannot be edited so.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

_PLAIN = re.compile(r"[A-Za-z0-9/][A-Za-z0-9 ._/*-]{0,200}")


class SpliceError(ValueError):
    """The data differs in a way that cannot be spliced into this text."""


@dataclass(frozen=True)
class Style:
    """step: columns by which a mapping is indented. dash: columns by which a list's dash is indented to its key."""

    step: int
    dash: int


@dataclass(frozen=True)
class Cut:
    """Replaces text[start:end] by `new`."""

    start: int
    end: int
    new: str


def spliced(text: str, old: Any, new: Any, style: Style) -> str:
    """The text of `old`, edited so that it parses as `new`. old, new: as returned by a safe loader.

    Raises SpliceError if the top level is not a mapping, or a value cannot be written.
    """
    root = YAML(typ="safe", pure=True).compose(text)
    if not isinstance(root, MappingNode):
        raise SpliceError("no mapping")
    cuts = sorted(_Splicer(text, style).edit(root, old, new, 0, flow=False), key=lambda cut: (cut.start, cut.end))
    for cut in reversed(cuts):
        text = text[: cut.start] + cut.new + text[cut.end :]
    return text


class _Splicer:
    def __init__(self, text: str, style: Style) -> None:
        self._text, self._style = text, style

    def edit(self, node: Node, old: Any, new: Any, indent: int, *, flow: bool) -> Iterator[Cut]:
        """indent: column of the key or dash that the node belongs to. flow: whether it is inside brackets or braces."""
        if old == new and type(old) is type(new):
            return
        if isinstance(node, MappingNode) and isinstance(new, dict) and node.value and new:
            yield from self._mapping(node, old, new)
        elif isinstance(node, SequenceNode) and isinstance(new, list) and node.value and new:
            yield from self._sequence(node, old, new)
        else:
            yield from self._replace(node, new, indent, flow=flow)

    def _mapping(self, node: MappingNode, old: dict[Any, Any], new: dict[Any, Any]) -> Iterator[Cut]:
        if len(node.value) != len(old):
            raise SpliceError("merge keys")
        nodes = dict(zip(old, node.value, strict=True))
        column = node.value[0][0].start_mark.column
        for gone, run in groupby(enumerate(nodes), key=lambda item: item[1] not in new):
            if gone:
                indexes = [index for index, _ in run]
                yield self._take_out(node, indexes[0], indexes[-1] + 1)
        for key, (key_node, value) in nodes.items():
            if key not in new or new[key] == old[key]:
                continue
            if isinstance(value, ScalarNode) and not value.value and value.style is None:
                yield self._after_key(key_node, new[key], column, flow=node.flow_style)  # an empty value, `key:`
            elif isinstance(value, CollectionNode) and not value.flow_style and not new[key]:
                yield Cut(
                    self._text.index(":", key_node.end_mark.index) + 1, self._end(value), " " + self._flow(new[key])
                )
            else:
                yield from self.edit(value, old[key], new[key], column, flow=node.flow_style)
        more = {key: value for key, value in new.items() if key not in old}
        if not more:
            return
        if node.flow_style:
            yield self._behind(self._end(node.value[-1][1], node.value[-1][0]), ", " + self._flow(more)[1:-1])
        else:
            yield self._new_lines(node, self._block(more, column))

    def _sequence(self, node: SequenceNode, old: list[Any], new: list[Any]) -> Iterator[Cut]:
        column = node.start_mark.column
        matcher = SequenceMatcher(None, [repr(item) for item in old], [repr(item) for item in new], autojunk=False)
        for kind, a, b, c, d in matcher.get_opcodes():
            if kind == "equal":
                continue
            same = min(b - a, d - c)
            for index in range(same):
                yield from self.edit(
                    node.value[a + index], old[a + index], new[c + index], column, flow=node.flow_style
                )
            if a + same < b:
                yield self._take_out(node, a + same, b)
            if c + same < d:
                yield self._put_in(node, a + same, new[c + same : d], column)

    def _put_in(self, node: SequenceNode, index: int, items: list[Any], column: int) -> Cut:
        """Insert before the item of this index, or after the last one."""
        if node.flow_style:
            words = self._flow(items)[1:-1]
            if index < len(node.value):
                return self._behind(node.value[index].start_mark.index, f"{words}, ")
            return self._behind(self._end(node.value[-1]), f", {words}")
        lines = self._block(items, column)
        if index < len(node.value):
            return self._behind(self._first_line(node, node.value[index]), lines)
        return self._new_lines(node, lines)

    def _take_out(self, node: CollectionNode, first: int, behind: int) -> Cut:
        """Delete the entries from `first` up to, but not including, `behind`."""
        starts = [entry[0] if isinstance(entry, tuple) else entry for entry in node.value]
        ends = [self._end(entry[1], entry[0]) if isinstance(entry, tuple) else self._end(entry) for entry in node.value]
        if not node.flow_style:
            line = self._first_line(node, starts[first])
            # The first key of a mapping beside its list's dash is deleted up to the second key.
            if isinstance(node, SequenceNode) or not self._text[line : starts[first].start_mark.index].strip():
                return Cut(line, self._line_end(ends[behind - 1]), "")
        if behind < len(starts):
            return Cut(starts[first].start_mark.index, starts[behind].start_mark.index, "")
        return Cut(ends[first - 1] if first else starts[0].start_mark.index, ends[-1], "")

    def _replace(self, node: Node, new: Any, indent: int, *, flow: bool) -> Iterator[Cut]:
        start, end = node.start_mark.index, self._end(node)
        if isinstance(new, dict | list) and new and not flow:
            while self._text[start - 1] == " ":
                start -= 1
            if self._text[start - 1] in "-?":  # a list item: a list below a dash cannot start in the dash's column
                yield Cut(start, end, "\n" + self._block(new, indent + 2).rstrip("\n"))
            else:
                yield Cut(start, end, "\n" + self._under(new, indent).rstrip("\n"))
        elif not isinstance(node, CollectionNode) or node.flow_style:
            yield Cut(start, end, self._flow(new))
        else:
            raise SpliceError("a block gives way to a value")

    def _after_key(self, key: Node, new: Any, column: int, *, flow: bool) -> Cut:
        colon = self._colon(key)
        block = isinstance(new, dict | list) and new and not flow
        return self._behind(colon, "\n" + self._under(new, column).rstrip("\n") if block else " " + self._flow(new))

    def _under(self, new: Any, indent: int) -> str:
        deeper = self._style.dash if isinstance(new, list) else self._style.step
        return self._block(new, indent + deeper)

    def _end(self, node: Node, key: Node | None = None) -> int:
        """Where a node really ends. The mark of a block is at the next token, after comments and empty lines."""
        while isinstance(node, CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1]
            key, node = last if isinstance(last, tuple) else (key, last)
        if isinstance(node, ScalarNode) and not node.value and key is not None and node.style is None:
            return self._colon(key)
        end = node.end_mark.index
        # The mark of a literal or folded text is after the line break.
        return len(self._text[:end].rstrip()) if isinstance(node, ScalarNode) and node.style in ("|", ">") else end

    def _colon(self, key: Node) -> int:
        """The position after the colon of a key."""
        return self._text.index(":", key.end_mark.index) + 1

    def _new_lines(self, node: Node, lines: str) -> Cut:
        end = self._line_end(self._end(node))
        return self._behind(end, lines if end and self._text[end - 1] == "\n" else "\n" + lines)

    @staticmethod
    def _behind(place: int, new: str) -> Cut:
        return Cut(place, place, new)

    def _line_start(self, place: int) -> int:
        return self._text.rfind("\n", 0, place) + 1

    def _first_line(self, node: CollectionNode, entry: Node) -> int:
        """The start of the line with a key, or with an item's dash, which may be on an earlier line."""
        line = self._line_start(entry.start_mark.index)
        while isinstance(node, SequenceNode) and self._text[line + node.start_mark.column] != "-":
            if line == 0:
                raise SpliceError("no dash")
            line = self._line_start(line - 1)
        return line

    def _line_end(self, place: int) -> int:
        """The position after the line break, or the end of the text."""
        end = self._text.find("\n", place)
        return len(self._text) if end < 0 else end + 1

    def _block(self, value: Any, column: int) -> str:
        """Complete lines, indented to this column."""
        writer = YAML()
        writer.width = 4096
        writer.indent(mapping=self._style.step, sequence=self._style.dash + 2, offset=self._style.dash)
        out = io.StringIO()
        writer.dump(value, out)
        first = len(re.match(r" *", out.getvalue())[0])  # type: ignore[index]
        return "".join(f"{' ' * column}{line[first:]}\n" for line in out.getvalue().splitlines())

    @classmethod
    def _flow(cls, value: Any) -> str:
        """The value on one line, valid within brackets."""
        if isinstance(value, dict):
            return "{" + ", ".join(f"{cls._flow(key)}: {cls._flow(one)}" for key, one in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(cls._flow, value)) + "]"
        if isinstance(value, str) and not (_PLAIN.fullmatch(value) and yaml.safe_load(value) == value):
            return json.dumps(value)  # every YAML reader reads it alike
        writer = YAML()
        writer.width, writer.default_flow_style = 1 << 20, True
        out = io.StringIO()
        writer.dump([value], out)
        return out.getvalue().strip()[1:-1]
