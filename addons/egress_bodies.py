"""The bodies that pass egress: uploads are watched for the bottle's tokens, answers have them masked."""

from __future__ import annotations

import contextlib

from mitmproxy import http

from addons.decoders import DecodeError, decode, decoder_for, is_identity
from addons.proxy_guard import abort, cut, log_refusal
from addons.reflection import MaskedStream, TokenMask
from addons.refusal import Refusal

_MAX_PLAIN = 64 << 20  # bytes of a buffered body when decoded


def has_token(request: http.Request, mask: TokenMask) -> bool:
    """True if a buffered body, as sent or decoded, or a trailer holds a token."""
    body = request.raw_content or b""
    if mask.found_in(body) or any(mask.found_in(value) for _, value in (request.trailers or http.Headers()).fields):
        return True
    try:
        return mask.found_in(decode(body, request.headers.get("content-encoding", ""), _MAX_PLAIN))
    except DecodeError:
        return False  # pipelock refuses what it cannot decode


def watch_upload(flow: http.HTTPFlow, mask: TokenMask) -> None:
    """Stream the request body; cut the connections when a token turns up in it."""
    if not mask:
        flow.request.stream = True
        return
    encoding = flow.request.headers.get("content-encoding", "")
    raw, plain = MaskedStream(mask), None
    if not is_identity(encoding):
        with contextlib.suppress(DecodeError):  # what egress cannot read, pipelock does not let out
            plain = MaskedStream(mask, decoder_for(encoding))
    ended = False

    def stream(chunk: bytes) -> bytes:
        nonlocal ended
        if ended:
            return b""
        out = raw.feed(chunk) if chunk else raw.finish()
        try:
            if chunk and plain:
                plain.feed(chunk)
            ended = raw.found or (plain is not None and plain.found)
        except DecodeError:
            ended = True
        if ended:
            cut(flow, Refusal("egress", "token_in_request", "The body holds a credential of this bottle."))
            return b""
        return out

    flow.request.stream = stream


def mask_headers(headers: http.Headers, mask: TokenMask) -> None:
    """Mask tokens in header or trailer values, in place."""
    headers.fields = tuple((name, mask.mask(value)) for name, value in headers.fields)


def mask_response(flow: http.HTTPFlow, response: http.Response, mask: TokenMask) -> None:
    """Stream the response, never holding it whole, with tokens masked; compressed ones are sent on plain."""
    if not mask:
        response.stream = True
        return None
    mask_headers(response.headers, mask)
    response.reason = mask.mask(response.reason.encode("latin-1", "replace")).decode("latin-1")
    encoding = response.headers.get("content-encoding", "")
    decoder = None
    if not is_identity(encoding):
        try:
            decoder = decoder_for(encoding)
        except DecodeError:
            return _replace(
                flow, response, Refusal("egress", "unreadable_response", "The response cannot be read.", 502)
            )
        has_body = flow.request.method != "HEAD" and response.status_code not in (204, 304)
        if has_body:
            response.headers.pop("content-encoding", None)
            _unknown_length(flow.request, response)
    masked = MaskedStream(mask, decoder)

    def stream(chunk: bytes) -> bytes:
        try:
            return masked.feed(chunk) if chunk else masked.finish()
        except DecodeError:
            abort(flow)
            return b""

    response.stream = stream
    return None


def _unknown_length(request: http.Request, response: http.Response) -> None:
    response.headers.pop("content-length", None)
    if request.http_version == "HTTP/1.1":
        response.headers["transfer-encoding"] = "chunked"


def _replace(flow: http.HTTPFlow, response: http.Response, refusal: Refusal) -> None:
    """Send a refusal in place of an answer whose headers have come already, dropping its body."""
    body = refusal.body(method=flow.request.method, host=flow.request.host, path=flow.request.path)
    response.status_code, response.reason = refusal.status, ""
    length = str(len(body)).encode()
    response.headers = http.Headers([(b"content-type", b"application/json"), (b"content-length", length)])
    response.stream = lambda chunk: b"" if chunk else body
    log_refusal(flow, refusal)
