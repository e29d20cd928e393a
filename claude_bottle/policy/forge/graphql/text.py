"""Whether every server reads the text of a GraphQL query as the parser here does. Pure.

GitHub and GitLab build on github.com/rmosolgo/graphql-ruby, whose lexers (lexer.rb, graphql_c_parser_ext/lexer.rl) and
whose functions that rewrite a text before it is parsed (language.rb) differ from the specification. Text in which they
could is refused: no client that puts values into variables writes any.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphql import DocumentNode, Token

# A block string with more quotes at its end than three, an escape before three, and a lone carriage return, which ends
# a comment here and not there. An escaped backslash before a quote: GitLab's rewriting takes it for an escaped quote. A
# number and a name without a blank, which another rewriting parts (add_space_between_numbers_and_names), in comments
# too, and takes line ends away there. An escaped backslash before `u0000`: releases before 2.3 undo the two of them.
_OTHERWISE = re.compile(
    r'"{4}|\\"{3}|\\\\"|\\\\u[0-9A-Fa-f{]|\r(?!\n)'
    r"|[ !$&()=:@\[\]{|}]-?[0-9.]++(?:[eE][+-]?[0-9]++)?+[_A-Za-z]\w*+[\s,]*+[#:]"
)
# The same from 2.3 to 2.5.16: behind any digit. It takes the line ends away that stand between the name and a colon.
_LAST_WORD = re.compile(r"(?<![_0-9A-Za-z])([_0-9A-Za-z]++)[\s,]*+(?:#|\Z)")
_NUMBERED = re.compile(r"[0-9][_A-Za-z]")
_IGNORED = " \t\r\f\v,\ufeff"
# How `escape_single_quoted_newlines` counts quotation marks, since pull request 5630 and before: GitLab parses what it
# makes of a query (app/controllers/graphql_controller.rb).
_COUNTS = (re.compile(r'"""|(?:\\"|[^"\n\r])+|"|[\n\r]'), re.compile(r'(?:\\"|[^"\n\r]|""")+|"|[\n\r]'))


def document_of(text: str, tokens: int) -> tuple[DocumentNode | None, int]:
    """The document and how many tokens it has; None if it has more than these, or not every server reads it alike."""
    # Imported when it is first needed: it takes a tenth of a second and 14 MB.
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
    """Whether between a name with a number in it and the colon behind it a line ends, with or without a comment."""
    follows = ""  # the first letter behind a line that is no blank and no comment
    for line in reversed(text.split("\n")):
        ends = (match[1] for match in _LAST_WORD.finditer(line))
        if follows == ":" and any(_NUMBERED.search(word) for word in ends):
            return True
        first = line.strip(_IGNORED)[:1]
        follows = follows if first in ("", "#") else first
    return False


def _is_rewritten(text: str, pattern: re.Pattern[str]) -> bool:
    """Whether a line ends where quotation marks, counted like this, are open."""
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
    """Whether a comment has a quotation mark, which could open a string elsewhere; or a block string a backslash, which
    was an escape in graphql-ruby before 2.3."""
    from graphql import TokenKind

    marks = {TokenKind.COMMENT: '"', TokenKind.BLOCK_STRING: "\\"}
    while token is not None:
        if token.kind in marks and marks[token.kind] in text[token.start : token.end]:
            return True
        token = token.next
    return False
