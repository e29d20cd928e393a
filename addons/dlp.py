"""The DLP engine: looks at a URL, at headers, at a body as a whole or as a stream, and says what it found. Pure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from urllib.parse import unquote_to_bytes

from addons.dlp_codes import is_garbage
from addons.dlp_fields import WORDS, FormFields, ends
from addons.dlp_mirror import REVERSED, ROT13, ROT13_LETTERS
from addons.dlp_packed import Budget
from addons.dlp_rules import Rule, RuleSet
from addons.dlp_stream import EDGE, StreamScan
from addons.dlp_text import PLAIN, View, text_views
from addons.dlp_verdict import Finding, Unscannable, place_of
from addons.dlp_views import body_views, packed_too
from addons.seed_phrase import find_seed_phrase

__all__ = ["EDGE", "Dlp", "Finding", "StreamScan", "Unscannable"]

_LARGE = 256 << 10  # bytes of a view that is worth another thread: hyperscan and RE2 let others run meanwhile
_NAME = 8  # bytes of a single field's name, which is none with so many
_WAITING = 4  # views, so that not all of a long body is held in all its forms
_POOL = ThreadPoolExecutor(2, "dlp")
# The readings of a request that carry its content in one piece, so that the next one's can be put behind it.
_CARRIERS = ("text", "json>values", "form>joined", "parts>joined", "query>joined", "path>joined")

_TURNED = {REVERSED: "turned", ROT13: "rot13"}  # what a view is called that was turned so before

_Hit = tuple[tuple[int, int], Finding]  # first byte, byte behind the last


class Dlp:
    """Finds secrets by the rules and, where `seed_phrases` is set, BIP-39 phrases. without: ids of rules that do not
    count; the same rules serve several engines."""

    def __init__(self, rules: RuleSet, *, seed_phrases: bool = True, without: frozenset[str] = frozenset()) -> None:
        self._rules, self._without = rules, without
        self._seed_phrases = seed_phrases

    def look(self, views: Iterable[View], edges: list[bytes] | None = None) -> Finding | None:
        """The first finding in the views. Passes Unscannable on. edges: gets what another request may go on with."""
        waiting: deque[Future[Finding | None]] = deque()
        for where, data in views:
            if edges is not None and data and where in _CARRIERS:
                edges.append(_edge(data))
            beside = len(data) >= _LARGE and not where.endswith(PLAIN)  # phrases take longest of all
            if beside:
                waiting.append(_POOL.submit(self._beside_rules, where, data))
            if hit := self._rule_in(where, data):
                return hit[1]
            if not beside and (finding := self._beside_rules(where, data)):
                return finding
            if len(waiting) > _WAITING and (finding := waiting.popleft().result()):
                return finding
        return next((finding for future in waiting if (finding := future.result()) is not None), None)

    def _beside_rules(self, where: str, data: bytes) -> Finding | None:
        if turned := self._turned_in(where, data):
            return turned[1]
        phrase = self._phrase_in(where, data)
        return phrase[1] if phrase else None

    def _rule_in(self, where: str, data: bytes) -> _Hit | None:
        if where.endswith(WORDS):
            return None
        found = self._rules.first(data, without=self._without)
        return ((found[1], found[2]), _finding(found[0].id, where, data, found[1], found[2])) if found else None

    def hit_in(self, where: str, data: bytes) -> tuple[tuple[int, int], Finding] | None:
        """The first finding in a text as it stands, with its first byte and the one behind its last."""
        return self._rule_in(where, data) or self._phrase_in(where, data)

    def _turned_in(self, where: str, data: bytes) -> tuple[bytes, Finding] | None:
        """The secret, and what is said of it, that the text holds backwards or moved by thirteen letters."""
        if where.endswith((PLAIN, WORDS)) or ("base64" in where and is_garbage(data)):
            return None
        for how, part in self._rules.mirror.readings(data):
            if _TURNED[how] in where:  # it would be as it was, but for what was undone between
                continue
            if found := self._rules.first(part, generic=False, without=self._without, turned=True):
                return part[found[1] : found[2]], _finding(found[0].id, f"{where}>{how}", part, found[1], found[2])
        return None

    def _first(self, text: bytes) -> tuple[Rule, int, int] | None:
        """By the precise rules: the generic ones find something in any text."""
        return self._rules.first(text, generic=False, without=self._without)

    def _phrase_in(self, where: str, data: bytes) -> _Hit | None:
        span = find_seed_phrase(data) if self._wants_phrases(where) else None
        return (span, Finding("bip39-seed-phrase", where, place_of(data, *span))) if span else None

    def _wants_phrases(self, where: str) -> bool:
        # Between the names of fields a phrase is in the text as it stands, without them in the values.
        return self._seed_phrases and not where.endswith((PLAIN, "json>joined", "named"))

    def look_at_url(self, host: str, path: str, edges: list[bytes] | None = None) -> Finding | None:
        """Host labels, path and query, decoded and joined. What cannot be looked at is a finding too."""
        return self._look_short("url", packed_too(_url_views(host, path), Budget(len(path))), edges)

    def look_at_headers(
        self, headers: Sequence[tuple[bytes, bytes]], edges: list[bytes] | None = None
    ) -> Finding | None:
        """Header names and values, cookies split and joined. What cannot be looked at is a finding too."""
        if edges is not None:
            edges += [_edge(value) for _, value in headers]
        size = sum(len(value) for _, value in headers)
        return self._look_short("header", packed_too(_header_views(headers), Budget(size)))

    def _look_short(self, what: str, views: Iterable[View], edges: list[bytes] | None = None) -> Finding | None:
        try:
            return self.look(views, edges)
        except Unscannable as error:
            return Finding(error.reason, what)

    def look_at_body(
        self, data: bytes, content_type: str, content_encoding: str, edges: list[bytes] | None = None
    ) -> Finding | None:
        """A whole body in every view. Raises Unscannable for what cannot be read."""
        return self.look(body_views(data, content_type, content_encoding), edges)

    def every_in_request(
        self, host: str, path: str, body: bytes, content_type: str, content_encoding: str, limit: int
    ) -> list[Finding] | None:
        """All that is found in URL and body, each secret once; None where there are more than `limit`.

        Raises Unscannable. For the owner, who decides about a request as a whole.
        """
        views = chain(
            packed_too(_url_views(host, path), Budget(len(path))), body_views(body, content_type, content_encoding)
        )
        found: dict[bytes, Finding] = {}
        for where, view in views:
            data, steps = view, 0
            while (hit := self.hit_in(where, data)) is not None and steps <= limit:
                (start, end), finding, steps = hit[0], hit[1], steps + 1
                found.setdefault(bytes(data[start:end]), finding)
                data = data[:start] + b"*" * (end - start) + data[end:]
            while (turned := self._turned_in(where, data)) is not None and steps <= limit:
                steps += 1
                found.setdefault(*turned)
                data = _without(data, turned[0])
            if len(found) > limit or steps > limit:
                return None
        return list(found.values())

    def look_across_all(self, texts: Sequence[bytes]) -> Finding | None:
        """What the end of one request and the beginning of another make together, by the precise rules. Each text by
        itself, but in one pass."""
        if not texts or self._first(b"\n\0\n\0\n".join(texts)) is None:
            return None
        for text in texts:
            if found := self._first(text):
                return Finding(found[0].id, "across requests", place_of(text, found[1], found[2]))
        return None

    def begun(self, tails: Iterable[bytes]) -> list[bytes]:
        """Those that may end within a secret: a vendor's prefix, and nothing behind it that can be no part of one."""
        return [tail for tail in tails if self._rules.is_begun(tail)]


def _finding(rule: str, where: str, text: bytes, start: int, end: int) -> Finding:
    return Finding(rule, where, place_of(text, start, end))


def _without(data: bytes, secret: bytes) -> bytes:
    """The text without a secret that is in it backwards or moved by thirteen letters."""
    for written in (secret[::-1], secret.translate(ROT13_LETTERS)):
        data = data.replace(written, b"*" * len(written))
    return data


def _edge(data: bytes) -> bytes:
    """What of a piece may meet another one."""
    return data if len(data) <= 2 * EDGE else data[:EDGE] + b"\n" + data[-EDGE:]


def _url_views(host: str, path: str) -> Iterator[View]:
    yield from text_views(f"{host}{path}".encode("utf-8", "replace"), "url")
    labels = host.split(".")[:-2]
    if labels:
        yield from text_views("".join(labels).encode(), "host")
        yield "host", "".join(labels).upper().encode()  # a name is sent in small letters, whatever it says
    location, _, query = path.partition("?")
    if query:
        fields = query.encode("utf-8", "replace")
        pairs = [pair.partition(b"=") for pair in re.split(rb"[&;]", fields)]
        quoted = b"\n".join(_decoded(name) + b'="' + _decoded(value) + b'"' for name, _, value in pairs)
        yield from text_views(quoted, "query")
        for label, joined in FormFields().feed(fields, last=True):
            if joined and (not label.endswith("named") or len(pairs) > 1 or len(fields.partition(b"=")[0]) > _NAME):
                yield from text_views(joined, f"query>{label.partition('>')[2]}")
    segments = [unquote_to_bytes(segment) for segment in location.split("/")]
    yield from text_views(b"".join(segments), "path>joined")


def _decoded(value: bytes) -> bytes:
    return unquote_to_bytes(value.replace(b"+", b" "))


def _header_views(headers: Sequence[tuple[bytes, bytes]]) -> Iterator[View]:
    yield from text_views(b"\n".join(name + b": " + value for name, value in headers), "header")
    cookies = [c.partition(b"=")[2] for name, v in headers if name.lower() == b"cookie" for c in re.split(rb";\s*", v)]
    if cookies:
        yield from text_views(b"".join(cookies), "cookie>joined")
    yield from text_views(b"".join(ends(value) for _, value in headers), "header>joined")
