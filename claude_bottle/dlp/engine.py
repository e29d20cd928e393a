"""The DLP engine: scans a URL, headers, and a body as a whole or as a stream, and reports findings. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain

from claude_bottle.dlp.fields import WORDS
from claude_bottle.dlp.heads import header_views, url_views
from claude_bottle.dlp.rules.mirror import REVERSED, ROT13, ROT13_LETTERS
from claude_bottle.dlp.rules.rule import Known
from claude_bottle.dlp.rules.ruleset import Rule, RuleSet
from claude_bottle.dlp.rules.seed_phrase import find_seed_phrase
from claude_bottle.dlp.said import JOINED, Receiver
from claude_bottle.dlp.stream import EDGE, StreamScan
from claude_bottle.dlp.text.codes import is_garbage
from claude_bottle.dlp.text.readings import PLAIN, View
from claude_bottle.dlp.verdict import Finding, Unscannable, place_of
from claude_bottle.dlp.views import body_views

__all__ = ["EDGE", "Dlp", "Finding", "StreamScan", "Unscannable"]

_LARGE = 256 << 10  # bytes of a view that justify another thread: hyperscan and RE2 release the interpreter lock
_IN_URL = 20  # findings
_WAITING = 4  # views, so that a long body is not held in all its forms
_POOL = ThreadPoolExecutor(2, "dlp")
# Views that hold the content of a request in one piece, so that the next request's can be joined to it.
_CARRIERS = ("text", "json>values", "form>joined", "parts>joined", "query>joined", "path>joined")

# Views of values without their names: a word and the text behind it belong to different fields there.
_NAMELESS = ("header>joined", "cookie>joined", "path>joined")

_TURNED = {REVERSED: "turned", ROT13: "rot13"}  # how a view that was transformed so is labelled

_Hit = tuple[tuple[int, int], Finding]  # first byte, byte after the last


class Dlp:
    """Finds secrets by the rules and, if `seed_phrases` is set, BIP-39 phrases. without: ids of rules to skip, so that
    several engines share the same rules. receiver: values that it has said are no finding."""

    def __init__(
        self,
        rules: RuleSet,
        *,
        seed_phrases: bool = True,
        without: frozenset[str] = frozenset(),
        receiver: Receiver | None = None,
    ) -> None:
        self._rules, self._without, self._receiver = rules, without, receiver
        self._seed_phrases = seed_phrases

    def look(self, views: Iterable[View], edges: list[bytes] | None = None) -> Finding | None:
        """The first finding in the views, or None. Raises Unscannable. edges: gets the bytes that another request may
        continue."""
        waiting: deque[Future[Finding | None]] = deque()
        for where, data in views:
            beside = len(data) >= _LARGE and not where.endswith(PLAIN)  # phrases take the longest
            if beside:
                waiting.append(_POOL.submit(self._beside_rules, where, data))
            if hit := self._rule_in(where, data):
                return hit[1]
            if not beside and (finding := self._beside_rules(where, data)):
                return finding
            if edges is not None and data and where in _CARRIERS:
                edges.append(_edge(self.unsaid(data)))
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
        known, named = self._known(where), where not in _NAMELESS
        match = self._rules.first(data, generic=named, without=self._without, known=known)
        if match and known and where.endswith(JOINED) and (alone := self.unsaid(data, match[0].is_generic)) is not data:
            data, match = alone, self._rules.first(alone, generic=named, without=self._without, known=known)
        return ((match[1], match[2]), _finding(match[0].id, where, data, match[1], match[2])) if match else None

    def hit_in(self, where: str, data: bytes) -> tuple[tuple[int, int], Finding] | None:
        """The first finding in a text as it stands, with its first byte and the byte after its last."""
        return self._rule_in(where, data) or self._phrase_in(where, data)

    def _known(self, where: str) -> Known | None:
        receiver = self._receiver
        if receiver is None:
            return None
        return lambda rule, text, start, end: receiver.knows(rule, where, text, start, end)

    def unsaid(self, text: bytes, generic: bool = False) -> bytes:
        """The text without the values that its receiver has said and that were allowed, so that they make no secret
        with their neighbours."""
        return (
            self._receiver.without_passed(text, generic=generic) if self._receiver and self._receiver.passed else text
        )

    def _turned_in(self, where: str, data: bytes) -> tuple[bytes, Finding] | None:
        """A secret that the text holds reversed or in ROT13, with its finding."""
        if where.endswith((PLAIN, WORDS)) or ("base64" in where and is_garbage(data)):
            return None
        for how, part in self._rules.mirror.readings(data):
            if _TURNED[how] in where:  # both cancel out, unless an encoding was decoded in between
                continue
            if match := self._rules.first(part, generic=False, without=self._without, turned=True):
                return part[match[1] : match[2]], _finding(match[0].id, f"{where}>{how}", part, match[1], match[2])
        return None

    def _first(self, text: bytes) -> tuple[Rule, int, int] | None:
        """By the precise rules only, because the generic ones match somewhere in any text."""
        return self._rules.first(text, generic=False, without=self._without)

    def _phrase_in(self, where: str, data: bytes) -> _Hit | None:
        as_written = not where.endswith(WORDS)  # a list of words from all over a document
        span = find_seed_phrase(data, as_written=as_written) if self._wants_phrases(where) else None
        return (span, Finding("bip39-seed-phrase", where, place_of(data, *span))) if span else None

    def _wants_phrases(self, where: str) -> bool:
        # A phrase between field names is seen in the text itself, one without them in the values.
        return self._seed_phrases and not where.endswith((PLAIN, "json>joined", "named"))

    def look_at_url(self, host: str, path: str, edges: list[bytes] | None = None) -> Finding | None:
        """Host labels, path and query, decoded and joined. An unscannable URL is a finding too."""
        return self._look_short("url", url_views(host, path), edges)

    def look_at_headers(
        self, headers: Sequence[tuple[bytes, bytes]], edges: list[bytes] | None = None
    ) -> Finding | None:
        """Header names and values, cookies split and joined. An unscannable header is a finding too."""
        finding = self._look_short("header", header_views(headers))
        if edges is not None:
            edges += [_edge(self.unsaid(value)) for _, value in headers]
        return finding

    def _look_short(self, what: str, views: Iterable[View], edges: list[bytes] | None = None) -> Finding | None:
        try:
            return self.look(views, edges)
        except Unscannable as error:
            return Finding(error.reason, what)

    def look_at_body(
        self, data: bytes, content_type: str, content_encoding: str, edges: list[bytes] | None = None
    ) -> Finding | None:
        """A whole body in every view. Raises Unscannable if the body cannot be read."""
        return self.look(body_views(data, content_type, content_encoding), edges)

    def every_in_request(
        self, host: str, path: str, body: bytes, content_type: str, content_encoding: str, limit: int
    ) -> list[Finding] | None:
        """All findings in URL and body, each secret once; None if there are more than `limit`.

        Raises Unscannable. For the owner, who decides about a request as a whole.
        """
        findings = self._every(
            chain(url_views(host, path), body_views(body, content_type, content_encoding)),
            limit,
        )
        return None if findings is None else list(findings.values())

    def values_in_url(self, host: str, path: str) -> list[bytes]:
        """The secrets in an address; empty if there are more than a few, or if the address is unscannable."""
        try:
            findings = self._every(url_views(host, path), _IN_URL)
        except Unscannable:
            return []
        return list(findings or ())

    def readings(
        self, host: str, path: str, headers: Sequence[tuple[bytes, bytes]], body: bytes, kind: str, encoding: str
    ) -> bytes:
        """The whole request in every view in which it is scanned, joined by line breaks. Raises Unscannable."""
        views = chain(
            url_views(host, path),
            header_views(headers),
            body_views(body, kind, encoding),
        )
        return b"\n".join(data for _, data in views)

    def _every(self, views: Iterable[View], limit: int) -> dict[bytes, Finding] | None:
        """Each secret once, with its finding; None if there are more than `limit`."""
        findings: dict[bytes, Finding] = {}
        for where, view in views:
            data, steps = view, 0
            while (hit := self.hit_in(where, data)) is not None and steps <= limit:
                (start, end), finding, steps = hit[0], hit[1], steps + 1
                findings.setdefault(bytes(data[start:end]), finding)
                data = data[:start] + b"*" * (end - start) + data[end:]
            while (turned := self._turned_in(where, data)) is not None and steps <= limit:
                steps += 1
                findings.setdefault(*turned)
                data = _without(data, turned[0])
            if len(findings) > limit or steps > limit:
                return None
        return findings

    def look_across_all(self, texts: Sequence[bytes]) -> Finding | None:
        """What the end of one request and the beginning of another make together, by the precise rules. The texts are
        scanned separately, but only if one pass over all of them finds something."""
        if not texts or self._first(b"\n\0\n\0\n".join(texts)) is None:
            return None
        for text in texts:
            if match := self._first(text):
                return Finding(match[0].id, "across requests", place_of(text, match[1], match[2]))
        return None

    def begun(self, tails: Iterable[bytes]) -> list[bytes]:
        """Those of the tails that may end within a secret: a vendor's prefix, followed only by characters that can
        belong to it."""
        return [tail for tail in tails if self._rules.is_begun(tail)]


def _finding(rule: str, where: str, text: bytes, start: int, end: int) -> Finding:
    return Finding(rule, where, place_of(text, start, end))


def _without(data: bytes, secret: bytes) -> bytes:
    """The text with a secret masked that it holds reversed or in ROT13."""
    for written in (secret[::-1], secret.translate(ROT13_LETTERS)):
        data = data.replace(written, b"*" * len(written))
    return data


def _edge(data: bytes) -> bytes:
    """The bytes of a piece that another piece may continue: its two ends."""
    return data if len(data) <= 2 * EDGE else data[:EDGE] + b"\n" + data[-EDGE:]
