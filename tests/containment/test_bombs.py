"""Little that costs much: while it is inspected, everybody else is answered, and no part is killed for memory.

Sources: brotli's and gzip's ratios (RFC 7932, 9.2; RFC 1951), "42.zip" (nested archives), BIP-39's English list, JSON nesting
(CVE-2020-10735 is the kin: numbers of many digits).
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Iterator

import brotli
import framing_lab
import pytest
import zstandard
from framing_lab import Batch, lab
from lab import wire
from mnemonic import Mnemonic

pytestmark = pytest.mark.docker

MB = 1 << 20
MANIFEST = {**framing_lab.MANIFEST, "pipelock": {**framing_lab.MANIFEST["pipelock"], "dlp": {"max_body_mb": 20}}}


def nested(depth: int) -> bytes:
    data = bytes(8 * MB)
    for _ in range(depth):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(4):
                archive.writestr(f"{number}.zip", data)
        data = out.getvalue()
    return data


def bombs() -> dict[str, tuple[bytes, str, str]]:
    """Body, content encoding, content type."""
    words = " ".join(Mnemonic("english").wordlist[:24] * 400)[: 48 << 10]
    return {
        "brotli": (brotli.compress(bytes(200 * MB)), "br", "text/plain"),
        "gzip": (gzip.compress(bytes(200 * MB)), "gzip", "text/plain"),
        "gzip in gzip": (gzip.compress(gzip.compress(bytes(200 * MB))), "gzip, gzip", "text/plain"),
        "zstd": (zstandard.compress(bytes(200 * MB)), "zstd", "text/plain"),
        "gzip file": (gzip.compress(bytes(200 * MB)), "", "application/gzip"),
        "zips in zips": (nested(4), "", "application/zip"),
        "JSON of 16 MB": (
            json.dumps([{"a": str(n)} for n in range(800_000)]).encode()[: 16 * MB],
            "",
            "application/json",
        ),
        "JSON, deep": (b"[" * (2 * MB) + b"]" * (2 * MB), "", "application/json"),
        "a number": (b"[" + b"9" * (4 * MB) + b"]", "", "application/json"),
        "seed words": (words.encode(), "", "text/plain"),
        "many matches": (b"AKIAIOSFODNN7EXAMPLE\n" * 200_000, "", "text/plain"),
        "many parts": (b"--x\r\n\r\na\r\n" * 200_000 + b"--x--\r\n", "", "multipart/form-data; boundary=x"),
        "percent signs": (b"%25" * MB, "", "application/x-www-form-urlencoded"),
        "backslashes": (b"\\" * (4 * MB), "", "application/json"),
    }


@pytest.fixture(scope="module")
def results() -> Iterator[tuple[dict[str, str], list[str], Batch]]:
    """Every bomb at once, and small requests of others all the while."""
    cases, names, small = [], {}, []
    shape = {"host": wire.HOST, "via": "egress", "alpn": ["http/1.1"], "http": 1}
    number = iter(range(10_000, 99_999))
    for name, (body, encoding, kind) in bombs().items():
        case = f"q{next(number)}"
        head = f"POST /ok/{case}/length HTTP/1.1\r\nHost: {wire.HOST}\r\nContent-Type: {kind}\r\n"
        head += f"Content-Encoding: {encoding}\r\n" if encoding else ""
        head += f"Content-Length: {len(body)}\r\n\r\n"
        steps = [["send", head], ["send", body.decode("latin-1")], ["answer", "POST"]]
        cases.append({"id": case, **shape, "steps": steps})
        names[case] = name
        for _ in range(4):
            case = f"q{next(number)}"
            get = f"GET /ok/{case}/length HTTP/1.1\r\nHost: {wire.HOST}\r\n\r\n"
            cases.append({"id": case, **shape, "steps": [["send", get], ["answer", "GET"]]})
            small.append(case)
    with lab(MANIFEST, together=40) as runner:
        yield names, small, runner.run(cases)


def test_everybody_else_is_answered(results: tuple[dict[str, str], list[str], Batch]) -> None:
    _, small, batch = results
    answers = {case: batch.outcomes[case].result.get("answers", [{}])[0].get("status") for case in small}
    assert set(answers.values()) == {200}


def test_no_part_ends(results: tuple[dict[str, str], list[str], Batch]) -> None:
    batch = results[2]
    assert batch.alive
    assert "MemoryError" not in str(batch.errors)


def test_each_is_answered_and_what_unpacks_to_too_much_is_refused(
    results: tuple[dict[str, str], list[str], Batch],
) -> None:
    names, _, batch = results
    for case, name in names.items():
        outcome = batch.outcomes[case]
        status = (outcome.result.get("answers") or [{}])[0].get("status")
        assert status in (200, 403), (name, outcome.result)
        if name in ("brotli", "gzip", "gzip in gzip", "zstd", "gzip file", "zips in zips"):
            assert status == 403, name
            assert not outcome.seen, name
