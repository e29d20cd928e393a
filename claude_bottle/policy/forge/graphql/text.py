"""Whether every server reads the text of a GraphQL query as the parser here does. Pure.

GitHub and GitLab use github.com/rmosolgo/graphql-ruby, whose lexers (lexer.rb, graphql_c_parser_ext/lexer.rl) and whose
functions that rewrite a text before parsing (language.rb) differ from the specification. Text that they could read
otherwise is refused. No client that sends values as variables writes any.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphql import DocumentNode, Token

# A block string with more than three quotes at its end, an escape before three, and a lone carriage return, which ends
# a comment here and not there. An escaped backslash before a quote: GitLab's rewriting reads it as an escaped quote. A
# number and a name without a blank, which another rewriting separates (add_space_between_numbers_and_names), in
# comments too, where it removes line ends. An escaped backslash before `u0000`: releases before 2.3 decode both of
# them.
_OTHERWISE = re.compile(
    r'"{4}|\\"{3}|\\\\"|\\\\u[0-9A-Fa-f{]|\r(?!\n)'
    r"|[ !$&()=:@\[\]{|}]-?[0-9.]++(?:[eE][+-]?[0-9]++)?+[_A-Za-z]\w*+[\s,]*+[#:]"
)
# The same from 2.3 to 2.5.16, after any digit. That one removes line ends between the name and a colon.
_LAST_WORD = re.compile(r"(?<![_0-9A-Za-z])([_0-9A-Za-z]++)[\s,]*+(?:#|\Z)")
_NUMBERED = re.compile(r"[0-9][_A-Za-z]")
_IGNORED = " \t\r\f\v,\ufeff"
# How `escape_single_quoted_newlines` counts quotation marks, since pull request 5630 and before. GitLab parses its
# result (app/controllers/graphql_controller.rb).
_COUNTS = (re.compile(r'"""|(?:\\"|[^"\n\r])+|"|[\n\r]'), re.compile(r'(?:\\"|[^"\n\r]|""")+|"|[\n\r]'))


def document_of(text: str, tokens: int) -> tuple[DocumentNode | None, int]:
    """The document and its number of tokens; None if it has more than `tokens`, or not every server reads it alike."""
    # Imported at first use, because it takes a tenth of a second and 14 MB.
    from graphql import GraphQLError
    from graphql.language.parser import Parser

    if _OTHERWISE.search(text) or _loses_a_line(text) or any(_is_rewritten(text, pattern) for pattern in _COUNTS):
        return None, 0
    parser = Parser(text, no_location=True, max_tokens=tokens)
    first = parser._lexer.token
    try:
        document = parser.parse_document()
    except (GraphQLError, RecursionError):
        return None, 0
    return (None, 0) if _hides(first, text) else (document, parser.token_count)


def _loses_a_line(text: str) -> bool:
    """Whether a line ends between a name with a digit in it and the colon after it, with or without a comment."""
    follows = ""  # the first character of the next line that is neither blank nor a comment
    for line in reversed(text.split("\n")):
        ends = (match[1] for match in _LAST_WORD.finditer(line))
        if follows == ":" and any(_NUMBERED.search(word) for word in ends):
            return True
        first = line.strip(_IGNORED)[:1]
        follows = follows if first in ("", "#") else first
    return False


def _is_rewritten(text: str, pattern: re.Pattern[str]) -> bool:
    """Whether a line ends within quotation marks, counted by this pattern."""
    inside = in_block = False
    for match in pattern.finditer(text):
        part = match[0]
        if part == '"""':
            in_block = not in_block
        elif part == '"' and not in_block:
            inside = not inside
        elif part in "\r\n" and inside:
            return True
    return False


def _hides(token: Token | None, text: str) -> bool:
    """Whether a comment has a quotation mark, which could open a string elsewhere, or a block string has a backslash,
    which was an escape in graphql-ruby before 2.3."""
    from graphql import TokenKind

    marks = {TokenKind.COMMENT: '"', TokenKind.BLOCK_STRING: "\\"}
    while token is not None:
        if token.kind in marks and marks[token.kind] in text[token.start : token.end]:
            return True
        token = token.next
    return False
