"""The agent's data in a request, and how much of it is in an address that the response names. Pure.

Percent-encoding and HTML references are decoded in both, so a response that re-encodes its input in one of them hides
nothing. Nor does one that writes addresses as the URL standard's parser does: without blanks and soft hyphens, and with
equivalent characters. Other transformations by a server (another alphabet, a digest) are not detected.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import unquote

PIECE = 8  # characters of sent data; shorter pieces occur by chance
_PART, _STEP = 6, 3  # characters of a part of a piece: each piece of a text has one that starts at a multiple of a step
_MOST = 16 << 10  # characters of a request; the response to a longer one names nothing
_DOTS = PIECE // 2  # labels of a name that is shorter than a piece
_LAYERS = 4  # of encoding
_IGNORED = frozenset(["Cc", "Cf", "Zs", "Zl", "Zp", "Mn"])
_USUAL = frozenset(
    """
    accept accept-encoding accept-language authorization cache-control connection content-length content-type cookie
    dnt if-match if-modified-since if-none-match if-range npm-command npm-session origin pacote-req-type
    pacote-version pragma priority range referer te user-agent via
    """.split()  # noqa: SIM905 - a list of names
)
_BETWEEN_NAMES = re.compile(r"[^a-z0-9_.-]+")


class Sent:
    """Data of one request. label: the part of its host that a wildcard matches. counted: whether addresses are limited.

    Not counted: an address may contain all of it, because it was counted when it was first named. A host name may not.
    """

    def __init__(self, texts: Iterable[str] = (), label: str = "", counted: bool = True) -> None:
        said = list(texts)
        self.is_too_much = sum(map(len, said)) > _MOST
        readings = {one for text in [*said, label] if not self.is_too_much for one in _readings(text)}
        self._pieces = {one[at : at + PIECE] for one in readings for at in range(len(one) - PIECE + 1)}
        self._parts = {one[at : at + _PART] for one in readings for at in range(len(one) - _PART + 1)}
        runs = [run.split(".") for one in readings for run in _BETWEEN_NAMES.split(one) if "." in run]
        self._names = {name for run in runs for at in range(len(run)) for name in _short_names(run[at : at + _DOTS])}
        self._labels = frozenset(label.lower().split(".")) - {""}
        self._counted, self._hosts = counted, dict[str, bool]()

    def letters_in(self, path: str) -> int:
        """How many characters of a path and its query were sent, in the decoding that has the most of them."""
        return max(map(self._covered, _readings(path))) if self._pieces and self._counted else 0

    def is_in(self, host: str) -> bool:
        """Whether a canonical host contains sent data: a piece of it, a label, or its registered name."""
        verdict = self._hosts.get(host)
        if verdict is None:
            labels = host.split(".")
            verdict = any(map(self._covered, (host, _spelled_out(host)))) or not self._labels.isdisjoint(labels)
            verdict = verdict or any(".".join(labels[-count:]) in self._names for count in range(2, _DOTS + 1))
            self._hosts[host] = verdict
        return verdict

    def _covered(self, text: str) -> int:
        """How many characters of a text lie in one of the pieces."""
        covered, end = 0, 0
        for at in [at for at in range(0, len(text) - _PART + 1, _STEP) if text[at : at + _PART] in self._parts]:
            for begin in range(max(0, at + _PART - PIECE), at + 1):
                if text[begin : begin + PIECE] in self._pieces:
                    covered += begin + PIECE - max(begin, end)
                    end = begin + PIECE
        return covered


def sent_in(path: str, fields: Iterable[tuple[bytes, bytes]], label: str = "", counted: bool = True) -> Sent:
    """The data of a request: its path, its headers except `Host`, their unusual names, and a wildcard's label."""
    others = [(name.decode("latin-1"), value) for name, value in fields if name.lower() != b"host"]
    names = [name for name, _ in others if name.lower() not in _USUAL]
    return Sent([path, *names, *(value.decode("latin-1") for _, value in others)], label, counted)


def stands_for(pattern: str, host: str) -> str:
    """The part of a host that a wildcard matches, which the agent chooses; "" without a wildcard."""
    return host.removesuffix(pattern[1:]) if pattern.startswith("*.") else ""


def _short_names(labels: list[str]) -> list[str]:
    """The prefixes of two or more labels that are shorter than a piece, as names."""
    names = [".".join(labels[:end]) for end in range(2, len(labels) + 1)]
    return [name for name in names if len(name) < PIECE]


def _tidied(text: str) -> str:
    """The text as a host in the URL standard's parser (3.3, "domain to ASCII"; 4.4)."""
    letters = unicodedata.normalize("NFKC", text).replace("\u3002", ".")
    return "".join(letter for letter in letters if unicodedata.category(letter) not in _IGNORED)


def _spelled_out(host: str) -> str:
    """A host with its A-labels decoded to the characters that they stand for (RFC 3492)."""
    if "xn--" not in host:
        return host
    labels = host.split(".")
    return ".".join(
        label[4:].encode().decode("punycode", "replace") if label[:4] == "xn--" else label for label in labels
    )


def _readings(text: str) -> set[str]:
    readings = latest = {text}
    for _ in range(_LAYERS):
        decoded = {unquote(one, errors="replace") for one in latest if "%" in one}
        latest = (decoded | {html.unescape(one) for one in latest if "&" in one}) - readings
        readings = readings | latest
    small = {
        reading.lower()
        for one in readings
        for reading in ({one} if one.isascii() and one.isprintable() else {one, _tidied(one)})
    }
    # Python's indexes write a project's name so (PEP 503, "Normalized Names"), however it was requested.
    return small | {re.sub(r"[-_.]+", "-", one) for one in small}
