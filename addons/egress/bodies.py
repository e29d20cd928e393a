"""Bodies that pass egress: uploads are scanned for the bottle's tokens, responses have their host's masked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from mitmproxy import http

from addons.egress.as_served import HoldsTokenError, ServedStream, goes_as_served
from addons.egress.forms import FormOverrideScan
from addons.frame.body_encoding import body_encoding
from addons.frame.decision_log import log_refusal
from addons.frame.refuse import cut
from addons.http.flow_end import end_flow
from claude_bottle.dlp.packed.decoder import DecodeError, Decoder
from claude_bottle.dlp.packed.decoders import accepted_names, decoder_for, is_identity
from claude_bottle.dlp.tokens.reflection import MaskedStream, TokenMask, UploadWatch
from claude_bottle.policy.refusal import Refusal

# Limits of decompression, in bytes and in bytes per byte received, so that a bomb of a kilobyte ends early.
_FREE_PLAIN, _RATIO = 8 << 20, 100
# First bytes of a compressed file, and its decoder (RFC 1952, 2.3.1; RFC 8878, 3.1.1; RFC 1950, 2.2).
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_PACKED = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), *((magic, "deflate") for magic in _ZLIB))
_MAGIC = max(len(magic) for magic, _ in _PACKED)

Stream = Callable[[bytes], list[bytes]]


def has_token(request: http.Request, mask: TokenMask) -> bool:
    """True if a buffered body, as sent or decoded, or a trailer holds a token. Raises nothing."""
    body = request.raw_content or b""
    trailers = b"\n".join(name + b": " + value for name, value in (request.trailers or http.Headers()).fields)
    if mask.found_in(body) or mask.found_in(trailers):
        return True
    encoding = body_encoding(request.headers) or _packed(body)
    try:
        return not is_identity(encoding) and UploadWatch(mask, decoder_for(encoding)).feed(body)
    except DecodeError:
        return False  # pipelock refuses what it cannot decode


def watch_upload(flow: http.HTTPFlow, mask: TokenMask, form: FormOverrideScan | None = None) -> None:
    """Stream the request body, and end the flow before a token in it has left completely.

    form: scans for a field that asks for another method or another user.
    """
    if not mask and form is None:
        flow.request.stream = True
        return
    encoding = body_encoding(flow.request.headers)
    watch, inside = UploadWatch(mask), _PackedFile(mask)
    if not is_identity(encoding):
        with contextlib.suppress(DecodeError):  # pipelock refuses what egress cannot decode
            watch = UploadWatch(mask, _Metered(decoder_for(encoding)))
    ended = False

    def stream(chunk: bytes) -> list[bytes]:
        nonlocal ended
        if ended:
            return []
        try:
            ended = bool(mask) and (watch.feed(chunk) or (is_identity(encoding) and inside.feed(chunk)))
        except DecodeError:
            ended = True
        if ended:
            cut(flow, Refusal("egress", "token_in_request", "The body holds a credential of this bottle."))
            return []
        if form is not None and form.feed(chunk):
            ended = True
            cut(
                flow,
                Refusal("egress", "ambiguous_request", "A field of the form names another method or another user."),
            )
            return []
        return [chunk] if chunk else []

    flow.request.stream = stream


def mask_response(flow: http.HTTPFlow, response: http.Response, mask: TokenMask) -> None:
    """Stream the response with its host's tokens masked, never holding it whole. Compressed ones are decompressed.

    A compressed file that the client did not ask to have compressed is passed on unchanged
    (addons/egress/as_served.py).
    """
    if not mask:
        response.stream = True
        return None
    response.headers.fields = tuple(mask.mask_fields(response.headers.fields))
    response.reason = mask.mask(response.reason.encode("latin-1", "replace")).decode("latin-1")
    encoding = response.headers.get("content-encoding", "")
    if flow.request.method == "HEAD" and is_identity(encoding) and _asks_plain(flow.request):
        response.stream = True  # the length of a plain body, which a GET reveals as well
        return None
    if flow.request.method == "HEAD" or response.status_code == 304:
        # The length of the absent body reveals how well it compresses, so whether it repeats parts of the request.
        for name in ("content-length", "content-encoding"):
            response.headers.pop(name, None)
        response.stream = True
        return None
    decoder: Decoder | None = None
    asked, kind = flow.request.headers.get("accept-encoding", ""), response.headers.get("content-type", "")
    if goes_as_served(asked, encoding, kind):
        response.headers.pop("content-length", None)  # it would reveal how well the body compresses
        # A requested range, which the owner allows (allow_ranges): nobody can decompress it.
        if response.status_code == 206 and "range" in flow.request.headers:
            response.stream = _masking(flow, MaskedStream(mask), mask)
            return None
        packed = _PackedFile(mask)
        served = ServedStream(mask, _Metered(decoder_for(encoding)), packed.feed)
        response.stream = _ending(flow, served.feed, served.finish)
        return None
    if not is_identity(encoding):
        try:
            decoder = _Metered(decoder_for(encoding))
        except DecodeError:
            return _replace(flow, response)
        if response.status_code != 204:
            response.headers.pop("content-encoding", None)
            response.headers.pop("content-length", None)
    response.stream = _masking(flow, MaskedStream(mask, decoder), mask)
    return None


def _masking(flow: http.HTTPFlow, masked: MaskedStream, mask: TokenMask) -> Stream:
    inside = _PackedFile(mask)

    def checked(pieces: list[bytes]) -> list[bytes]:
        if any(inside.feed(piece) for piece in pieces):
            raise HoldsTokenError("a token in a compressed file")
        return pieces

    return _ending(flow, lambda chunk: checked(masked.feed(chunk)), lambda: checked(masked.finish()))


def _ending(flow: http.HTTPFlow, feed: Stream, finish: Callable[[], list[bytes]]) -> Stream:
    """A stream that ends the flow if the response cannot be decoded, or contains a token that cannot be masked."""
    ended = False

    def stream(chunk: bytes) -> list[bytes]:
        nonlocal ended
        if ended:
            return []
        try:
            return feed(chunk) if chunk else finish()
        except DecodeError as error:
            if isinstance(error, HoldsTokenError):
                log_refusal(flow, Refusal("egress", "token_in_response", "The answer holds a credential.", 502))
            ended = True
            end_flow(flow)
            return []

    return stream


def _asks_plain(request: http.Request) -> bool:
    return accepted_names(request.headers.get("accept-encoding", "")) <= {"identity"}


class _TooMuch(DecodeError):
    """Data that decompresses to more than anybody would send compressed."""


class _PackedFile:
    """Scans the content of a body that is itself a compressed file, however its first bytes are split into pieces."""

    def __init__(self, mask: TokenMask) -> None:
        self._mask, self._head = mask, b""
        self._watch: UploadWatch | None = None

    def feed(self, piece: bytes) -> bool:
        """True once a complete token was found. Raises DecodeError."""
        if self._watch is None and len(self._head) < _MAGIC:
            self._head += piece
            if not (packed := _packed(self._head)):
                return False
            self._watch, piece = UploadWatch(self._mask, _Lenient(_Metered(decoder_for(packed)))), self._head
        return self._watch is not None and self._watch.feed(piece)


class _Metered:
    """A decoder that fails early on data that decompresses to far more than was received."""

    def __init__(self, inner: Decoder) -> None:
        self._inner, self._taken, self._made = inner, 0, 0

    def feed(self, chunk: bytes) -> bytes:
        return b"".join(self.feed_parts(chunk))

    def feed_parts(self, chunk: bytes) -> Iterator[bytes]:
        self._taken += len(chunk)
        for part in self._inner.feed_parts(chunk):
            self._made += len(part)
            if self._made > max(_FREE_PLAIN, _RATIO * self._taken):
                raise _TooMuch("it unpacks to far more than its size")
            yield part

    def finish(self) -> None:
        self._inner.finish()


class _Lenient(_Metered):
    """For data that only starts like a compressed file: once it cannot be decoded, it yields nothing."""

    _broken = False

    def feed_parts(self, chunk: bytes) -> Iterator[bytes]:
        if self._broken:
            return
        try:
            yield from self._inner.feed_parts(chunk)
        except _TooMuch:
            raise
        except DecodeError:
            self._broken = True


def _packed(data: bytes) -> str:
    return next((name for magic, name in _PACKED if data.startswith(magic)), "")


def _replace(flow: http.HTTPFlow, response: http.Response) -> None:
    """Send a refusal instead of a response whose headers have arrived, and drop its body."""
    refusal = Refusal("egress", "unreadable_response", "The response cannot be read.", 502)
    body = refusal.body(method=flow.request.method, host=flow.request.host, path=flow.request.path)
    response.status_code, response.reason = refusal.status, ""
    length = str(len(body)).encode()
    response.headers = http.Headers([(b"content-type", b"application/json"), (b"content-length", length)])
    response.stream = lambda chunk: [] if chunk else [body]
    log_refusal(flow, refusal)
