"""Text as a person reads it: without invisible characters, and with look-alike letters as the plain ones. Pure."""

from __future__ import annotations

import re
import unicodedata

# Default-ignorable format characters, soft hyphen, variation selectors (Unicode, DerivedCoreProperties).
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0]"
)
# Letters of other scripts that look like a Latin one (Unicode, confusables.txt: single Cyrillic, Greek, Armenian and
# other letters). NFKC does the compatibility forms: full-width, mathematical, circled.
_CYRILLIC, _FROM_CYRILLIC = "аАвВсСеЕНһіІјЈкКмМоОрРԛѕЅтТхХуУԝԁӏгҮ", "aABBcCeEHhiIjJkKmMoOpPqsStTxXyYwdlrY"
_GREEK, _FROM_GREEK = "αΑΒεΕΖηΗιΙκΚΜνΝοΟρΡτΤυΥχΧϲϳγ", "aABeEZnHiIkKMvNoOpPtTuYxXcjy"
_OTHERS, _FROM_OTHERS = "օսոհցɑɡɩʟꓮꓐꓚꓓꓰꓝꓖꓧ", "ounhgagiLABCDEFGH"
_ALIKE = str.maketrans(_CYRILLIC + _GREEK + _OTHERS, _FROM_CYRILLIC + _FROM_GREEK + _FROM_OTHERS)
_NOT_ASCII = re.compile(rb"[\x80-\xff]")


def folded(data: bytes) -> bytes | None:
    """The plain reading, or None where it is no different, or where the bytes are no text (UTF-8)."""
    if not _NOT_ASCII.search(data):
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    plain = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).translate(_ALIKE)
    return None if plain == text else plain.encode()
