"""A-labels: the ASCII form of a label with other letters, `xn--` and punycode (RFC 5890, 2.3.2.1). Pure.

A label is valid only if it decodes to a U-label that encodes to the same label (RFC 5891, 4.4 and 5.4), because
programs may decode names for display. Names are compared, sent and shown in their ASCII form only.
"""

from __future__ import annotations

import unicodedata

PREFIX = "xn--"
# RFC 5892, 2.1 (LetterDigits; capitals are not stable) and 2.6 (Exceptions).
_LETTERS = frozenset(["Ll", "Lo", "Lm", "Mn", "Mc", "Nd"])
_VALID = frozenset("\u00df\u03c2\u06fd\u06fe\u0f0b\u3007")
_DISALLOWED = frozenset("\u0640\u07fa\u302e\u302f\u3031\u3032\u3033\u3034\u3035\u303b")
_OLD_JAMO = range(0x1100, 0x1200)  # 2.9
# Valid only in some contexts (RFC 5892, appendix A): between two l, beside kana or Han; after a virama.
_MIDDLE_DOT, _KATAKANA_DOT, _JOINERS = "\u00b7", "\u30fb", "\u200c\u200d"
_COMPANY = ("HIRAGANA", "KATAKANA LETTER", "CJK UNIFIED")
_VIRAMA = 9  # canonical combining class
_ARABIC, _EXTENDED = range(0x660, 0x66A), range(0x6F0, 0x6FA)


def is_a_label(label: str) -> bool:
    """Whether a lower-case label is a valid A-label. Emoji and control characters are not valid in one."""
    try:
        letters = label.removeprefix(PREFIX).encode("ascii").decode("punycode")
        same = PREFIX + letters.encode("punycode").decode("ascii") == label
    except (UnicodeError, OverflowError, ValueError):
        return False
    return (
        same
        and not letters.isascii()
        and unicodedata.normalize("NFC", letters) == letters
        and letters[2:4] != "--"
        and not letters.startswith("-")
        and not letters.endswith("-")
        and unicodedata.category(letters[0])[0] != "M"
        and not (_holds(letters, _ARABIC) and _holds(letters, _EXTENDED))
        and all(_fits(letters, at) for at in range(len(letters)))
    )


def _fits(letters: str, at: int) -> bool:
    one = letters[at]
    if one.isascii():
        return one == "-" or one.isdigit() or one.islower()
    if one in _VALID or one in _DISALLOWED or ord(one) in _OLD_JAMO:
        return one in _VALID
    if one == _MIDDLE_DOT:
        return letters[max(at - 1, 0) : at + 2] == f"l{one}l"
    if one == _KATAKANA_DOT:
        return any(unicodedata.name(other, "").startswith(_COMPANY) for other in letters)
    if one in _JOINERS:
        return at > 0 and unicodedata.combining(letters[at - 1]) == _VIRAMA
    return unicodedata.category(one) in _LETTERS and _stable(one) == one


def _stable(one: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", one).casefold())


def _holds(letters: str, some: range) -> bool:
    return any(ord(one) in some for one in letters)
