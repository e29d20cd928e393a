"""The mask: what is found, and that nothing else can be seen of it."""

from __future__ import annotations

import base64
import gzip
import html
import json
import random
import re
import string
import tracemalloc
from collections.abc import Callable, Collection, Iterator, Sequence
from urllib.parse import quote

import pytest

from claude_bottle.dlp.packed.decoder import DecodeError
from claude_bottle.dlp.packed.decoders import decoder_for
from claude_bottle.dlp.rules.scanner import Scanner
from claude_bottle.dlp.tokens import blocks as token_blocks
from claude_bottle.dlp.tokens import runs as token_runs
from claude_bottle.dlp.tokens import whole as token_whole
from claude_bottle.dlp.tokens.reflection import PART, MaskedStream, TokenMask, UploadWatch

_LETTERS = string.ascii_letters + string.digits


def random_text(seed: int, length: int, letters: str = _LETTERS) -> str:
    return "".join(random.Random(seed).choices(letters, k=length))


CORE = random_text(1, 36)
TOKENS = {
    "anthropic": "sk-ant-oat01-" + random_text(2, 93, _LETTERS + "-_") + "AA",
    "github": "ghp_" + CORE,
    "fine-grained": "github_pat_11ABCDEFG0" + random_text(3, 12) + "_" + random_text(4, 59),
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + random_text(5, 43, _LETTERS + "-_"),
    "pair": "alice:" + random_text(6, 24),
    "aws": random_text(7, 40, _LETTERS + "+/"),
    "hex": random_text(9, 40, "0123456789abcdef"),
    "odd": "p4ss\"w'ord\\n<with>&odd{letters}!$",
    "short": "real-token-0123456789",
}
TOKEN = TOKENS["anthropic"]


def wrapped(data: bytes, width: int, end: str) -> str:
    text = base64.b64encode(data).decode()
    return end.join(text[at : at + width] for at in range(0, len(text), width))


FILE = b"# a file\nexport KEY=" + TOKEN.encode() + b"\nexport MORE=1\n"
SPELLINGS: dict[str, bytes] = {
    "plain": TOKEN.encode(),
    "lower case, as HTTP/2 wants a header's name": TOKEN.lower().encode(),
    "percent": quote(TOKEN, safe="").encode(),
    "percent, every letter": "".join(f"%{ord(letter):02X}" for letter in TOKEN).encode(),
    "html": html.escape(TOKEN).encode(),
    "hex": TOKEN.encode().hex().encode(),
    "HEX": TOKEN.encode().hex().upper().encode(),
    "utf-16-le": TOKEN.encode("utf-16-le"),
    "utf-16-be": TOKEN.encode("utf-16-be"),
    "utf-16 with mark": TOKEN.encode("utf-16"),
    "utf-32": TOKEN.encode("utf-32"),
    "utf-16 of percent": "".join(f"%{ord(letter):02x}" for letter in TOKEN).encode("utf-16-le"),
    "utf-32 of percent": "".join(f"%{ord(letter):02x}" for letter in TOKEN).encode("utf-32-le"),
    "utf-32 of hex": TOKEN.encode().hex().encode("utf-32-le"),
    "utf-32 of base64 of base64": base64.b64encode(base64.b64encode(TOKEN.encode() + b"  "))
    .decode()
    .encode("utf-32-le"),
    "a line that goes on": TOKEN[:50].encode() + b"\\\n" + TOKEN[50:].encode(),
    **{f"base64 at {n}": base64.b64encode(b"x" * n + TOKEN.encode() + b"yz") for n in range(3)},
    **{f"base64url at {n}": base64.urlsafe_b64encode(b"x" * n + TOKEN.encode() + b"yz") for n in range(3)},
    **{
        f"base64 of base64 at {n} and {k}": base64.b64encode(
            b"z" * k + base64.b64encode(b"x" * n + TOKEN.encode() + b"y")
        )
        for n in range(3)
        for k in range(3)
    },
    # RFC 7468 (PEM): 64; RFC 2045 (MIME): 76; GitHub's contents API: 60, in a string of JSON.
    **{f"base64 in lines of {w}": wrapped(FILE, w, "\n").encode() for w in (60, 64, 76)},
    **{f"base64 in lines of {w}, CRLF": wrapped(FILE, w, "\r\n").encode() for w in (60, 64, 76)},
    **{f"base64 in JSON, lines of {w}": json.dumps({"content": wrapped(FILE, w, "\n")}).encode() for w in (60, 64, 76)},
    "base64 in JSON in JSON": json.dumps({"a": json.dumps({"content": wrapped(FILE, 60, "\n")})}).encode(),
    "base64 in JSON, CRLF": json.dumps({"content": wrapped(FILE, 76, "\r\n")}).encode(),
    "base64 in YAML": ("key: |\n    " + wrapped(FILE, 76, "\n    ") + "\n").encode(),
    "base64 of base64 in lines": base64.encodebytes(base64.b64encode(FILE)),
}


def left_over(masked: bytes) -> str:
    """The letters that stay, without what stands between lines."""
    return (
        masked.replace(b"\0", b"")
        .replace(b"\\r", b"")
        .replace(b"\\n", b"")
        .translate(None, b"\r\n \\")
        .decode("latin-1")
    )


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_found_and_masked_at_its_length(spelling: str) -> None:
    mask, data = TokenMask([TOKEN]), b"before " + SPELLINGS[spelling] + b" after"
    masked = mask.mask(data)
    assert mask.found_in(data)
    assert mask.mask(data) != data
    assert len(masked) == len(data)
    assert mask.mask(masked) is masked
    assert masked.startswith(b"before ")
    assert masked.endswith(b" after")
    # Nothing of the token is left: at most the edges of base64, in which neighbours have a part.
    views = [left_over(masked)]
    for text in re.findall(r"[A-Za-z0-9+/]+", views[0].translate(str.maketrans("-_", "+/"))):
        for skip in range(4):
            whole = text[skip : skip + (len(text) - skip) // 4 * 4]
            views.append(base64.b64decode(whole).decode("latin-1"))
    for at in range(len(TOKEN) - 8):
        assert not any(TOKEN[at : at + 8] in view for view in views)


@pytest.mark.parametrize("name", TOKENS)
def test_separators_stay_where_they_are(name: str) -> None:
    token, mask = TOKENS[name], TokenMask([TOKENS[name]])
    data = json.dumps({"content": wrapped(b"a" * 50 + token.encode() + b"b" * 50, 60, "\n"), "size": 3}).encode()
    masked = json.loads(mask.mask(data))
    assert masked["size"] == 3
    assert [len(line) for line in masked["content"].split("\n")] == [
        len(line) for line in json.loads(data)["content"].split("\n")
    ]


def test_runs_of_a_token_are_masked_wherever_they_begin() -> None:
    mask = TokenMask([TOKENS["github"]])
    for length in (12, 13, 20, 35):
        for at in range(len(CORE) - length + 1):
            run = CORE[at : at + length].encode()
            for spelled in (run, quote(run).encode(), run.decode().encode("utf-16-le")):
                assert mask.mask(b"<" + spelled + b">").replace(b"*", b"").replace(b"\0", b"") == b"<>"
            if length >= 16:
                assert mask.mask(b"<" + run.hex().encode() + b">") == b"<" + b"*" * 2 * length + b">"
            for shift in range(3):  # four letters of base64 at each edge have a neighbour's part
                shifted = base64.b64encode(b"\0" * shift + run + b"\0\0\0")
                assert length < 13 or mask.mask(shifted) != shifted
            assert not mask.found_in(run)


LONG: dict[str, bytes] = {  # what stands before and after, more than 2 kB
    "words": b"some words, and more of them. " * 200,
    "dots": b". " * 1500,
    "letters": b"A" * 5000 + b" ",
    "lines of base64": base64.encodebytes(random.Random(8).randbytes(9000)),
    "JSON": json.dumps([{"id": n, "sha": f"{n:040x}"} for n in range(100)]).encode() + b" ",
    "binary": random.Random(9).randbytes(70_000) + b" ",
    "many short rows": b"abcdefghijklm " * 3000,
}


@pytest.mark.parametrize("around", LONG)
@pytest.mark.parametrize("length", [12, 13, 15, 16])
def test_short_runs_are_masked_in_long_data(around: str, length: int) -> None:
    mask, text = TokenMask([TOKENS["github"]]), LONG[around]
    for at in (0, 5, len(CORE) - length):
        run = CORE[at : at + length].encode()
        assert mask.mask(text + run + b" " + text) == text + b"*" * length + b" " + text
        assert mask.mask(text + run) == text + b"*" * length
        shown = base64.b64encode(run + b"xx" * (length < 13))[: 16 if length < 16 else 20]
        assert shown not in mask.mask(text + shown + b" " + text)
        if length == 16:
            assert run.hex().encode() not in mask.mask(text + run.hex().encode() + b" " + text)


@pytest.mark.parametrize("around", LONG)
def test_short_runs_are_masked_in_streams_of_any_chunks(around: str) -> None:
    mask = TokenMask([TOKENS["github"]])
    for length in (12, 15):
        data = LONG[around] + CORE[-length:].encode() + b" " + LONG[around]
        for step in (1000, 16384, len(data)):
            out, _ = answer(mask, list(pieces(data, step)))
            assert CORE[-length:].encode() not in b"".join(piece for some in out for piece in some)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_what_lies_over_the_border_of_two_parts_is_found(spelling: str) -> None:
    mask, text = TokenMask([TOKEN]), SPELLINGS[spelling]
    for border in (PART, PART + 2 * mask.hold, 2 * PART):
        for inside in (1, len(text) // 2, len(text) - 1):
            data = b"." * (border - inside) + text + b"." * 70_000
            assert mask.found_in(data)
            assert mask.mask(data).strip(b".") == mask.mask(b"." + text + b".").strip(b".")


def test_a_long_header_does_not_hide_a_run_in_another() -> None:
    mask = TokenMask([TOKENS["github"]])
    for long in (b"a value " * 400, b"A" * 9000, b""):
        fields = [(b"x-long", long), (b"x-other", b"see " + CORE[-12:].encode()), (b"x-last", b"ok")]
        assert mask.mask_fields(fields) == ((b"x-long", long), (b"x-other", b"see " + b"*" * 12), (b"x-last", b"ok"))


@pytest.mark.parametrize(
    "unit",
    [
        TOKEN.encode(),
        b" " + TOKEN[-15:].encode(),
        base64.encodebytes(TOKEN.encode() * 3),
        TOKEN.encode("utf-16-le"),
        b"abcdefghijkl ",
    ],
)
def test_what_a_mask_needs_is_in_proportion_to_a_part(unit: bytes) -> None:
    """Not to what a few kilobytes of gzip unpack to: it once made integers of every place that it hid."""
    size = 1 << 20
    stream = MaskedStream(TokenMask([TOKEN]), decoder_for("gzip"))
    stream.feed(gzip.compress(b"first ")[:-8])  # builds what is built once
    stream = MaskedStream(stream._mask, decoder_for("gzip"))
    packed = gzip.compress(unit * (size // len(unit)))
    tracemalloc.start()
    try:
        out = stream.feed(packed) + stream.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(map(len, out)) == size // len(unit) * len(unit)
    assert all(len(piece) <= PART + stream._mask.hold for piece in out)
    assert peak < size + 200 * PART
    assert TOKEN[-15:].encode() not in b"".join(out).replace(b"\0", b"")


def test_a_chunk_that_unpacks_to_too_much_ends_the_answer() -> None:
    stream = MaskedStream(TokenMask([TOKEN]), decoder_for("gzip"))
    with pytest.raises(DecodeError):
        stream.feed(gzip.compress(bytes(17 << 20)))


@pytest.mark.parametrize("name", ["anthropic", "github", "fine-grained", "jwt"])
def test_what_everybody_knows_is_no_run(name: str) -> None:
    """Else who knows it would try the next letter, and see by the asterisks whether it is right."""
    token = TOKENS[name]
    mask = TokenMask([token, base64.b64encode(b"x-access-token:" + token.encode()).decode()])
    core = {"github": CORE, "jwt": token.rpartition(".")[2], "fine-grained": token.rpartition("_")[2]}.get(
        name, token[13:]
    )
    public = token[: token.index(core)]
    for known in range(10):
        text = public + core[:known]
        pair = b"x-access-token:" + text.encode()
        for spelled in (
            text.encode(),
            pair,
            text.encode().hex().encode(),
            base64.b64encode(pair),
            base64.b64encode(base64.b64encode(pair)),
        ):
            assert mask.mask(spelled) == spelled


def test_half_tokens_and_the_parts_of_a_pair_are_masked() -> None:
    for half in (TOKEN[: len(TOKEN) // 2], TOKEN[len(TOKEN) // 2 :]):
        assert TokenMask([TOKEN]).mask(half.encode()) == b"*" * len(half)
    password = TOKENS["pair"].partition(":")[2]
    mask = TokenMask([TOKENS["pair"]])
    assert mask.mask(f"login alice with {password} failed".encode()) == b"login alice with " + b"*" * 24 + b" failed"
    assert mask.mask(base64.b64encode(TOKENS["pair"].encode())) == b"*" * 40
    assert mask.found_in(password.encode())


def test_ordinary_text_stays() -> None:
    mask = TokenMask(TOKENS.values())
    for data in (
        b"",
        b"\0" * 5000,
        b"a" * 5000,
        bytes(range(256)) * 20,
        __doc__.encode() * 50,
        base64.encodebytes(bytes(9999)),
    ):
        assert mask.mask(data) is data
    assert not TokenMask(())
    assert TokenMask(()).mask(b"anything") == b"anything"
    assert not TokenMask(["seven77"])


@pytest.mark.parametrize("letter", ["n", "r", "t", "x"])
@pytest.mark.parametrize("end", ["\\\n", "\\\r\n", "\\n", "\\r\\n", "\n"])
def test_the_letter_behind_a_lines_end_is_one(letter: str, end: str) -> None:
    token = random_text(3, 45) + letter + random_text(4, 30)
    mask = TokenMask([token])
    text = (token[:45] + end + token[45:]).encode()
    assert mask.found_in(text)
    assert mask.mask(text) == b"*" * 45 + end.encode() + b"*" * 31


def test_names_and_values_of_headers_are_masked() -> None:
    mask = TokenMask([TOKENS["github"]])
    token = TOKENS["github"].encode()
    stars = b"*" * len(token)
    fields = [(b"Date", b"x"), (b"X-" + token.lower(), b""), (b"", b"a " + token), (b"Last", CORE[:20].encode() + b"!")]
    assert mask.mask_fields(fields) == (
        (b"Date", b"x"),
        (b"X-" + stars, b""),
        (b"", b"a " + stars),
        (b"Last", b"*" * 20 + b"!"),
    )
    assert mask.mask_fields(fields[:1]) == tuple(fields[:1])
    assert mask.mask_fields([]) == ()


def pieces(data: bytes, step: int) -> Iterator[bytes]:
    return (data[at : at + step] for at in range(0, len(data), step))


def answer(mask: TokenMask, chunks: list[bytes], encoding: str = "") -> tuple[list[list[bytes]], bool]:
    stream = MaskedStream(mask, decoder_for(encoding) if encoding else None)
    return [*(stream.feed(chunk) for chunk in chunks), stream.finish()], stream.masked_whole


STEPS = (1, 7, 64, 100_000)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_stream_is_masked_as_the_whole_is(spelling: str, step: int) -> None:
    mask = TokenMask([TOKEN])
    data = b'{"text": "' + SPELLINGS[spelling] + b'"}\n' + b"more text " * 20 + TOKEN[13:40].encode()
    out, masked = answer(mask, list(pieces(data, step)))
    assert b"".join(piece for some in out for piece in some) == mask.mask(data)
    assert all(piece for some in out for piece in some)
    assert masked


@pytest.mark.parametrize("step", [9, 1000])
def test_a_compressed_stream_is_masked_when_decoded(step: int) -> None:
    data = b"x" * 5000 + b" " + TOKEN.encode() + b" " + b"y" * 5000
    out, masked = answer(TokenMask([TOKEN]), list(pieces(gzip.compress(data), step)), "gzip")
    assert b"".join(piece for some in out for piece in some) == data.replace(TOKEN.encode(), b"*" * len(TOKEN))
    assert masked


def test_an_empty_frame_in_the_middle_of_a_token_shows_no_more_than_what_had_come() -> None:
    """mitmproxy calls a stream with b"" for an empty DATA frame of HTTP/2 too."""
    stream = MaskedStream(TokenMask([TOKEN]))
    out = (
        stream.feed(b"<" + TOKEN[:20].encode())
        + stream.finish()
        + stream.feed(TOKEN[20:].encode() + b">")
        + stream.finish()
    )
    assert b"".join(out).endswith(b"*" * (len(TOKEN) - 20) + b">")


EVENTS = [
    # docs.anthropic.com, streaming; html.spec.whatwg.org, server-sent events; ndjson.org.
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}\n\n',
    b'event: ping\ndata: {"type": "ping"}\n\n',
    b"data: [DONE]\n\n",
    b": keep-alive\n\n",
    b"data: " + b"QUJD" * 40 + b"\n\n",
    b"data: " + b"QUJD" * 40 + b"\r\n\r\n",
    b"id: 7\ndata: plain words\n\n",
    b'{"status":"Pulling from library/alpine","id":"3.19"}\r\n',
    b'{"progress": 3}\n',
]


@pytest.mark.parametrize("name", [name for name in TOKENS if name != "odd"])
def test_an_event_is_never_behind(name: str) -> None:
    stream = MaskedStream(TokenMask([TOKENS[name]]))
    for event in EVENTS * 3:
        assert stream.feed(event) == [event]
    assert stream.finish() == []


def wrong(letter: str) -> str:
    for letters in (string.ascii_lowercase, string.ascii_uppercase, string.digits, "-_", "+/", string.punctuation):
        if letter in letters:
            return letters[(letters.index(letter) + 1) % len(letters)]
    raise AssertionError(letter)


SHAPES: dict[str, Callable[[str], bytes]] = {
    "alone": lambda text: text.encode(),
    "in JSON": lambda text: b'{"a": "' + text.encode() + b'", "b": 1}\n',
    "in words": lambda text: b"some words " * 9 + text.encode() + b" and more",
    "at the end": lambda text: b"words and then\n" + text.encode(),
    "base64": lambda text: base64.b64encode(b"x" + text.encode()),
    "base64 in lines": lambda text: base64.encodebytes(b"x" * 70 + text.encode() + b"y" * 70),
    "hex": lambda text: text.encode().hex().encode(),
    "often": lambda text: (text.encode() + b";") * 6,
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", TOKENS)
def test_a_right_beginning_looks_like_a_wrong_one(name: str, shape: str) -> None:
    """Pieces, their lengths and order, what is said to be found: the same for every beginning of every length."""
    token, make = TOKENS[name], SHAPES[shape]
    mask = TokenMask([token])
    # Every length by itself; within other text a few.
    for length in range(1, len(token), 1 if shape == "alone" else 1 + len(token) // 6):
        right = token[:length]
        data, other = make(right), make(right[:-1] + wrong(right[-1]))
        for step in (1, 5, 64, 100_000) if shape == "alone" else (7, 64):
            chunks, others = list(pieces(data, step)), list(pieces(other, step))
            out, masked = answer(mask, chunks)
            out_2, masked_2 = answer(mask, others)
            assert [[len(p) for p in some] for some in out] == [[len(p) for p in some] for some in out_2]
            assert masked is masked_2 is False
            watch, watch_2 = UploadWatch(mask), UploadWatch(mask)
            assert [watch.feed(c) for c in chunks] == [watch_2.feed(c) for c in others] == [False] * len(chunks)


def test_what_is_looked_for_is_another_in_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters that a search compares are told by its time (bench/token_timing.py): none may be a token's."""
    searches, tables = list[bytes](), list[int]()

    class Seen(Scanner):
        def __init__(self, expressions: Sequence[tuple[int, bytes]]) -> None:
            searches.extend(expression for _, expression in expressions)
            super().__init__(expressions)

    class Tables(token_blocks.BlockSearch):
        def __init__(self, texts: Collection[bytes]) -> None:
            super().__init__(texts)
            tables.extend(self._firsts)

    monkeypatch.setattr(token_blocks, "Scanner", Seen)
    monkeypatch.setattr(token_runs, "BlockSearch", Tables)
    monkeypatch.setattr(token_whole, "BlockSearch", Tables)

    def build() -> tuple[set[bytes], set[int]]:
        searches.clear()
        tables.clear()
        for token in TOKENS.values():
            mask = TokenMask([token])
            mask.build()
            mask.compile()
        return set(searches), set(tables)

    first, second = build(), build()
    for one, other in zip(first, second, strict=True):
        assert len(one) > 1000
        assert one.isdisjoint(other)  # type: ignore[arg-type]


@pytest.mark.parametrize("length", range(8, 40))
def test_a_token_of_any_length_is_found_at_any_place(length: int) -> None:
    token = random_text(length, length)
    mask = TokenMask([token])
    for at in range(33):
        assert mask.found_in(b"-" * at + token.encode() + b" more"), at
        assert not mask.found_in(b"-" * at + token[:-1].encode() + b" more"), at


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_upload_is_cut_with_the_chunk_that_completes_a_token(spelling: str, step: int) -> None:
    data = b"some text " * 30 + SPELLINGS[spelling] + b" and more " * 30
    watch = UploadWatch(TokenMask([TOKEN]))
    verdicts = [watch.feed(chunk) for chunk in pieces(data, step)]
    assert watch.is_complete
    assert not TokenMask([TOKEN]).found_in(data[: step * verdicts.index(True)])
    assert all(verdicts[verdicts.index(True) :])


def test_an_upload_is_cut_with_the_last_byte_and_no_sooner() -> None:
    watch = UploadWatch(TokenMask([TOKEN]))
    verdicts = [watch.feed(bytes([byte])) for byte in TOKEN.encode() + b" "]
    assert verdicts == [False] * (len(TOKEN) - 1) + [True, True]
    watch = UploadWatch(TokenMask([TOKEN]))
    assert [watch.feed(part) for part in (TOKEN[:50].encode(), b"", b"", TOKEN[50:].encode())] == [
        False,
        False,
        False,
        True,
    ]


def test_a_compressed_upload_is_watched_decoded_and_as_sent() -> None:
    packed = gzip.compress(b"words " * 1000 + TOKEN.encode() + b"more " * 100)
    watch = UploadWatch(TokenMask([TOKEN]), decoder_for("gzip"))
    assert any(watch.feed(part) for part in pieces(packed, 20))


def test_a_mask_of_some_tokens_knows_no_others() -> None:
    mask, own, other = TokenMask([TOKENS["github"]]), TOKENS["github"].encode(), TOKEN.encode()
    assert mask.mask(other) == other
    assert mask.mask(own) != own
