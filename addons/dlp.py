"""The DLP engine: looks at a URL, at headers, at a body as a whole or as a stream, and says what it found. Pure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_to_bytes

from addons.decoders import DecodeError, decoder_for
from addons.dlp_near import OVERLAP
from addons.dlp_rules import RuleSet
from addons.dlp_text import PLAIN, REVERSED, WINDOW, View, text_views
from addons.dlp_views import Unscannable, body_views
from addons.seed_phrase import has_seed_phrase


@dataclass(frozen=True)
class Finding:
    """What was found (a rule id) and where (how the bytes had to be read). Never the secret itself."""

    rule: str
    where: str


_LARGE = 256 << 10  # bytes of a view that is worth another thread: hyperscan and RE2 let others run meanwhile
_WAITING = 4  # views, so that not all of a long body is held in all its forms
_POOL = ThreadPoolExecutor(2, "dlp")
# The readings of a request that carry its content in one piece, so that the next one's can be put behind it.
_CARRIERS = ("text", "json>values", "form>joined", "parts>joined", "query>joined", "path>joined")


class Dlp:
    """Finds secrets by the rules and, where `seed_phrases` is set, BIP-39 phrases."""

    def __init__(self, rules: RuleSet, *, seed_phrases: bool = True) -> None:
        self._rules = rules
        self._seed_phrases = seed_phrases

    def look(self, views: Iterable[View], edges: list[bytes] | None = None) -> Finding | None:
        """The first finding in the views. Passes Unscannable on. edges: gets what another request may go on with."""
        waiting: deque[Future[Finding | None]] = deque()
        for where, data in views:
            if edges is not None and data and where in _CARRIERS:
                edges.append(data)
            phrases = self._seed_phrases and not where.endswith((REVERSED, PLAIN))
            beside = phrases and len(data) >= _LARGE  # of all the rest, for phrases take longest
            if beside:
                waiting.append(_POOL.submit(self._phrase_in, where, data))
            if found := self._rule_in(where, data):
                return found
            if phrases and not beside and (found := self._phrase_in(where, data)):
                return found
            if len(waiting) > _WAITING and (found := waiting.popleft().result()):
                return found
        return next((found for future in waiting if (found := future.result()) is not None), None)

    def _rule_in(self, where: str, data: bytes) -> Finding | None:
        rule = self._rules.find(data, generic=not where.endswith(REVERSED))
        return Finding(rule.id, where) if rule else None

    def _phrase_in(self, where: str, data: bytes) -> Finding | None:
        return Finding("bip39-seed-phrase", where) if has_seed_phrase(data) else None

    def look_at_url(self, host: str, path: str, edges: list[bytes] | None = None) -> Finding | None:
        """Host labels, path and query, decoded and joined."""
        return self.look(_url_views(host, path), edges)

    def look_at_headers(self, headers: Sequence[tuple[bytes, bytes]]) -> Finding | None:
        """Header names and values, cookies split and joined."""
        return self.look(_header_views(headers))

    def look_at_body(
        self, data: bytes, content_type: str, content_encoding: str, edges: list[bytes] | None = None
    ) -> Finding | None:
        """A whole body in every view. Raises Unscannable for what cannot be read."""
        return self.look(body_views(data, content_type, content_encoding), edges)

    def look_across(self, before: bytes, after: bytes) -> Finding | None:
        """What the end of one request and the beginning of another make together, by the precise rules."""
        rule = self._rules.find(before + after, generic=False)
        return Finding(rule.id, "across requests") if rule else None


def _url_views(host: str, path: str) -> Iterator[View]:
    yield from text_views(f"{host}{path}".encode("utf-8", "replace"), label="url")
    labels = host.split(".")[:-2]
    if labels:
        yield from text_views("".join(labels).encode(), label="host")
    location, _, query = path.partition("?")
    if query:
        pairs = parse_qsl(query, keep_blank_values=True, errors="replace")
        yield from text_views("\n".join(f'{k}="{v}"' for k, v in pairs).encode("utf-8", "replace"), label="query")
        yield from text_views("".join(v for _, v in pairs).encode("utf-8", "replace"), label="query>joined")
    segments = [unquote_to_bytes(segment) for segment in location.split("/")]
    yield from text_views(b"".join(segments), label="path>joined")


def _header_views(headers: Sequence[tuple[bytes, bytes]]) -> Iterator[View]:
    yield from text_views(b"\n".join(name + b": " + value for name, value in headers), label="header")
    cookies = [c.partition(b"=")[2] for name, v in headers if name.lower() == b"cookie" for c in re.split(rb";\s*", v)]
    if cookies:
        yield from text_views(b"".join(cookies), label="cookie>joined")
    yield from text_views(b"".join(value for _, value in headers), label="header>joined")


class StreamScan:
    """Looks at a body while it passes: nothing is released before it was looked at.

    `feed` gives the chunks that may go on; after a finding, or a stream that cannot be read, it gives nothing more, and
    `verdict` says why.
    """

    def __init__(self, dlp: Dlp, content_encoding: str = "") -> None:
        self._dlp = dlp
        self._plain = bytearray()
        self._plain_end = 0  # of all that was decoded
        self._held: list[tuple[int, bytes]] = []  # (where in the decoded stream the chunk ends, the chunk as it came)
        self.verdict: Finding | Unscannable | None = None
        try:
            self._decoder = decoder_for(content_encoding)
        except DecodeError as error:
            self.verdict = Unscannable("unreadable_encoding", str(error))

    def feed(self, chunk: bytes) -> list[bytes]:
        """The chunks that may go on now; an empty chunk ends the stream."""
        if self.verdict is not None:
            return []
        try:
            if chunk:
                plain = self._decoder.feed(chunk)
                self._plain += plain
                self._plain_end += len(plain)
                self._held.append((self._plain_end, chunk))
                if len(self._plain) < WINDOW:
                    return []
            else:
                self._decoder.finish()
            return self._scan(last=not chunk)
        except DecodeError as error:
            self.verdict = Unscannable("unreadable_encoding", str(error))
        except Unscannable as error:
            self.verdict = error
        return []

    def _scan(self, last: bool) -> list[bytes]:
        # Escapes and encodings are undone in the window; a window that begins within base64 is tried at each offset.
        self.verdict = self._dlp.look(text_views(bytes(self._plain), label="stream"))
        if self.verdict is not None:
            return []
        keep = 0 if last else OVERLAP
        clean = self._plain_end - keep
        del self._plain[: len(self._plain) - keep]
        ready = [chunk for end, chunk in self._held if end <= clean]
        del self._held[: len(ready)]
        return ready
