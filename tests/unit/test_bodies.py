"""Decoders, and the masking of tokens in streams."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable
from urllib.parse import quote

import brotli
import pytest
import zstandard

from claude_bottle.dlp.packed.decoder import DecodeError
from claude_bottle.dlp.packed.decoders import decode, decoder_for, is_identity
from claude_bottle.dlp.tokens.reflection import MaskedStream, TokenMask

TEXT = b"some text that is long enough to be worth packing " * 400
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "identity": bytes,
    "": bytes,
}
TOKEN = "tok/en+with=odd&chars-0123456789"


@pytest.mark.parametrize("name", PACK)
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_every_encoding_is_undone_in_any_chunks(name: str, step: int) -> None:
    packed, decoder = PACK[name](TEXT), decoder_for(name)
    out = b"".join(decoder.feed(packed[i : i + step]) for i in range(0, len(packed), step))
    decoder.finish()
    assert out == TEXT
    assert decode(packed, name.upper(), len(TEXT)) == TEXT


def test_raw_deflate_chains_and_members() -> None:
    raw = zlib.compressobj(wbits=-15)
    assert decode(raw.compress(TEXT) + raw.flush(), "deflate", 1 << 20) == TEXT
    assert decode(brotli.compress(gzip.compress(TEXT)), "gzip, br", 1 << 20) == TEXT
    assert decode(gzip.compress(TEXT) + gzip.compress(b"more"), "gzip", 1 << 20) == TEXT + b"more"


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_broken_short_and_oversized_data_is_refused(name: str) -> None:
    packed = PACK[name](TEXT)
    for data in (packed[:-3], b"not packed at all, not one bit"):
        with pytest.raises(DecodeError):
            decode(data, name, 1 << 20)
    with pytest.raises(DecodeError, match="too large"):
        decode(packed, name, 1000)


@pytest.mark.parametrize("name", ["compress", "snappy", "gzip;q=1", "gzip,gzip,gzip,gzip"])
def test_an_unknown_encoding_is_refused(name: str) -> None:
    assert not is_identity(name)
    with pytest.raises(DecodeError):
        decoder_for(name)


SPELLINGS = {
    "plain": TOKEN,
    "percent": quote(TOKEN, safe=""),
    "json": json.dumps(TOKEN)[1:-1],
    "hex": TOKEN.encode().hex(),
    **{f"base64 at {n}": base64.b64encode(b"x" * n + TOKEN.encode() + b"yz").decode() for n in range(3)},
    **{f"base64url at {n}": base64.urlsafe_b64encode(b"x" * n + TOKEN.encode() + b"yz").decode() for n in range(3)},
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_token_is_found_and_masked_at_its_length(spelling: str) -> None:
    mask, data = TokenMask([TOKEN]), b"before " + SPELLINGS[spelling].encode() + b" after"
    assert mask.found_in(data)
    masked = mask.mask(data)
    assert len(masked) == len(data)
    assert b"*" * 16 in masked
    assert not mask.found_in(masked)


def through(stream: MaskedStream, data: bytes, step: int) -> bytes:
    pieces = [piece for i in range(0, len(data), step) for piece in stream.feed(data[i : i + step])]
    return b"".join(pieces + stream.finish())


@pytest.mark.parametrize("step", [1, 2, 5, 31, 64, 1000])
def test_a_token_split_over_chunks_is_masked(step: int) -> None:
    data = b"a" * 100 + TOKEN.encode() + b"tok" + b"b" * 50 + TOKEN[:9].encode()
    stream = MaskedStream(TokenMask([TOKEN]))
    out = through(stream, data, step)
    assert out == b"a" * 100 + b"*" * len(TOKEN) + b"tok" + b"b" * 50 + TOKEN[:9].encode()
    assert stream.masked_whole


def test_a_line_is_not_held_back() -> None:
    stream = MaskedStream(TokenMask([TOKEN]))
    assert stream.feed(b"event: one\n\n") == [b"event: one\n\n"]


def test_a_compressed_stream_is_masked_when_decoded() -> None:
    packed = gzip.compress(b"x" * 5000 + TOKEN.encode() + b"y" * 5000)
    stream = MaskedStream(TokenMask([TOKEN]), decoder_for("gzip"))
    out = through(stream, packed, 9)
    assert out == b"x" * 5000 + b"*" * len(TOKEN) + b"y" * 5000
