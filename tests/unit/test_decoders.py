"""What the decoders of content encodings make at one time and in all is bounded, whatever was packed."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from functools import cache

import brotli
import pytest
import zstandard

from claude_bottle.dlp.packed.decoder import MAX_PLAIN, STEP, DecodeError
from claude_bottle.dlp.packed.decoders import decode, decoder_for, is_identity

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}


@cache
def bomb(name: str, size: int = 200 << 20) -> bytes:
    """Zeros, packed: a gigabyte is 809 bytes of brotli."""
    block = bytes(1 << 20)
    if name == "br":
        packer = brotli.Compressor(quality=9, lgwin=24)
        return b"".join(packer.process(block) for _ in range(size >> 20)) + packer.finish()
    if name == "zstd":
        writer = zstandard.ZstdCompressor().compressobj()
        return b"".join(writer.compress(block) for _ in range(size >> 20)) + writer.flush()
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31 if name == "gzip" else 15)
    return b"".join(deflate.compress(block) for _ in range(size >> 20)) + deflate.flush()


@pytest.mark.parametrize("name", PACK)
def test_a_bomb_is_unpacked_in_small_parts_and_not_to_its_end(name: str) -> None:
    packed, size = bomb(name), 0
    with pytest.raises(DecodeError, match="too much"):
        for part in decoder_for(name).feed_parts(packed):
            size += len(part)
            assert len(part) <= STEP
    assert size <= MAX_PLAIN + 100 * len(packed)
    with pytest.raises(DecodeError):
        decoder_for(name).feed(packed)
    with pytest.raises(DecodeError, match="too large"):
        decode(packed, name, 1 << 20)


@pytest.mark.parametrize("names", ["gzip, gzip", "gzip, br", "br, br", "zstd, gzip", "zstd, zstd, br"])
def test_a_bomb_within_another_is_bounded_too(names: str) -> None:
    first, *others = names.split(", ")
    packed = bomb(first)
    for name in others:
        packed = PACK[name](packed)
    size = 0
    with pytest.raises(DecodeError):
        for part in decoder_for(names).feed_parts(packed):
            size += len(part)
            assert len(part) <= STEP
    assert size <= 4 * MAX_PLAIN


@pytest.mark.parametrize("name", PACK)
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_parts_are_what_feed_gives(name: str, step: int) -> None:
    plain = b"".join(b"line %d of a log\n" % n for n in range(20_000))
    packed = PACK[name](plain)
    one, other = decoder_for(name), decoder_for(name)
    pieces = [packed[start : start + step] for start in range(0, len(packed), step)]
    assert b"".join(one.feed(piece) for piece in pieces) == plain
    assert b"".join(part for piece in pieces for part in other.feed_parts(piece)) == plain
    one.finish()
    other.finish()


@pytest.mark.parametrize("name", PACK)
def test_what_stands_behind_the_end_is_no_part_of_it(name: str) -> None:
    """Else it would travel unread: a decoder that stops at the end never gives it."""
    with pytest.raises(DecodeError):
        decode(PACK[name](b"hello") + b"and more", name, 1 << 20)


def test_a_window_beyond_what_http_allows_is_refused() -> None:
    """RFC 9659: 8 MB at most. A frame that asks for 128 MB of memory is not given them."""
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    writer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = writer.compress(bytes(1000)) + writer.flush()
    with pytest.raises(DecodeError):
        decode(packed, "zstd", 1 << 20)


# As botocore sends it (tests/unit/test_httpchecksum.py of botocore, AwsChunkedWrapper), and signed as in the S3 API's example.
TRAILER = b"5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n"
SIGNED = (
    b"5;chunk-signature=" + b"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648" + b"\r\nhello\r\n"
    b"0;chunk-signature=" + b"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9" + b"\r\n\r\n"
)


@pytest.mark.parametrize(("sent", "plain"), [(TRAILER, b"hello world"), (SIGNED, b"hello"), (b"", b"")])
@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_aws_chunked_is_taken_apart_however_it_comes(sent: bytes, plain: bytes, step: int) -> None:
    decoder = decoder_for("aws-chunked")
    parts = [decoder.feed(sent[start : start + step]) for start in range(0, len(sent), step)]
    decoder.finish()
    assert b"".join(parts) == plain


@pytest.mark.parametrize(
    "sent",
    [b"hello", b"5\r\nhello", b"5\r\nhelloXX0\r\n\r\n", b"z\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n", b"5" * 700,
     b"5\r\nhello\r\n0\r\n" + b"x" * 20_000 + b"\r\n", b"0\r\nnever ended"],
)  # fmt: skip
def test_what_is_no_aws_chunked_data_is_not_read_as_such(sent: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(sent, "aws-chunked")


def test_aws_chunked_around_gzip_is_undone_too() -> None:
    packed = gzip.compress(b"hello")
    assert decode(b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed), "gzip,aws-chunked") == b"hello"


@pytest.mark.parametrize("name", ["none", "utf-8", "UTF-8", "identity", ""])
def test_what_names_no_encoding_changes_nothing(name: str) -> None:
    assert decode(b"hello", name) == b"hello"
    assert is_identity(name)
