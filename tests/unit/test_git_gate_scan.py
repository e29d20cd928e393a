"""git-gate's scan against contents that would not be looked at: headers, edges, archives, bombs; and its bounds."""

from __future__ import annotations

import base64
import binascii
import bz2
import gzip
import io
import lzma
import random
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import re2
from gate_repository import LEAK, MAGIC, SSH, Repository, is_skipped, repository

from sidecar_images.git_gate.remotes import Remote
from sidecar_images.git_gate.scanning import leaks, objects, plain, scan, unpack, work
from sidecar_images.git_gate.scanning.sealed import _STRANGE as SEALED
from sidecar_images.git_gate.scanning.sealed import sealed
from sidecar_images.git_gate.scanning.strange import strange
from sidecar_images.git_gate.scanning.unpack import Bounds, CannotUnpack, unpacked

__all__ = ["repository"]

TEXT = f"a line of text\nkey = '{LEAK}'\nand another one\n".encode()


def secrets(repository: Repository, files: dict[str, bytes]) -> list[str]:
    return [str(secret) for secret in scan.look(SSH, [repository.commit(files)], ["refs/heads/x"]).secrets]


def with_magic(name: str) -> bytes:
    """A file with a token in line 3 that the library takes for something else."""
    parts, length = MAGIC[name]
    data = bytearray(b"=" * length)
    for at, magic in parts.items():
        data[at : at + len(magic)] = magic
    return bytes(data) + b"1\n\n" + TEXT


@pytest.mark.parametrize("name", MAGIC)
def test_no_first_bytes_switch_the_scan_off(repository: Repository, name: str) -> None:
    data = with_magic(name)
    assert is_skipped(data), "the case shows nothing"
    assert any("(rule github-pat)" in secret for secret in secrets(repository, {"build.sh": data}))


def test_a_script_that_begins_like_a_program(repository: Repository) -> None:
    """The case of the issue; the line is the file's own."""
    (secret,) = secrets(repository, {"build.sh": f"MZ=1\nkey={LEAK}\n".encode()})
    assert secret.startswith("build.sh, line 2, commit")


def test_no_name_of_a_file_hides_the_names_of_the_others(repository: Repository) -> None:
    names = dict.fromkeys(("!<arch>", "%PDF", "MZ", LEAK), b"x")
    (secret,) = secrets(repository, names)
    assert secret.startswith("the name of a file, line")
    assert "commit" in secret


def test_nothing_is_cut_at_the_edge_of_a_chunk(repository: Repository) -> None:
    """gitleaks reads 100,000 bytes and up to 25,000 more until two line ends: sources/common.go, maxPeekSize."""
    filler = b"the quick brown fox; " * 8_000
    for at in (99_980, 124_980, *range(25_000, 160_000, 12_345), *range(plain.LONGEST - 760, plain.LONGEST - 640, 20)):
        data = b"\n" + filler[:at] + LEAK.encode() + filler[at:]
        assert any(LEAK.encode() in piece for _, piece in plain.pieces(data)), at
    (secret,) = secrets(repository, {"one-line.json": filler[:124_980] + LEAK.encode() + filler})
    assert secret.startswith("one-line.json, line 1,")


def test_pieces_overlap_and_keep_their_lines() -> None:
    chosen = random.Random(3)
    data = b"".join(chosen.choice((b"x", b" ", b"\n", b"word")) for _ in range(120_000))
    pieces = list(plain.pieces(data))
    assert all(len(piece) < 32_769 and piece.startswith(plain.PREFIX) for _, piece in pieces)
    assert len(plain.PREFIX) > 514
    for at in range(0, len(data) - 5_900, 997):
        window = data[at : at + 5_900]
        before, piece = next(one for one in pieces if window in one[1])
        line = piece[: piece.index(window)].count(b"\n") + 1
        if data.count(window) == 1:
            assert plain.line_of(line, before) == data[:at].count(b"\n") + 1


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_long_base64_is_cut_where_it_can_be_decoded(times: int) -> None:
    """gitleaks decodes three times over (--max-decode-depth 3), and only what is aligned."""
    text = b"0123456789 some words of a document. " * 3_000
    inner = text[:70_003] + LEAK.encode() + text[70_003:]
    for _ in range(times):
        inner = base64.b64encode(inner)
    hit = False
    for _, piece in plain.pieces(b'{"a": "' + inner + b'"}'):
        line = piece.split(b"\n")[10].removeprefix(b'{"a": "')
        for _ in range(times):
            line = base64.b64decode(line[: len(line) // 4 * 4])
        hit |= LEAK.encode() in line
    assert hit


def test_a_piece_is_utf_8_and_a_byte_that_is_none_hides_nothing() -> None:
    """RE2 matches such a byte by no pattern (its syntax page: "[\\s\\S]" is any character, and that is none)."""
    key = (
        b"-----BEGIN RSA PRIVATE KEY-----\n"
        + b"a" * 70
        + b"\xe9\xff\n"
        + b"b" * 70
        + b"\n-----END RSA PRIVATE KEY-----"
    )
    for data in (key, b"caf\xe9 " + LEAK.encode(), b"\xed\xa0\x80\xc3", "caf\u00e9 \U0001f600".encode()):
        (_, piece), *_ = plain.pieces(data)
        body = piece.removeprefix(plain.PREFIX).removesuffix(b"\n" + plain.SEAL + b"\n")
        assert len(body) == len(data)
        text = body.decode()
        assert text == data.decode(errors="replace") or "\x1a" in text
        assert text.replace("\x1a", "") == data.decode(errors="ignore")
        assert re2.search(r"(?s)\A.*\z", body)


def packed_zip(data: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as zip_file:
        zip_file.writestr("docs/a.txt", data)
    return out.getvalue()


def zlib_of(data: bytes, window: int) -> bytes:
    packer = zlib.compressobj(wbits=window)
    return packer.compress(data) + packer.flush()


def packed_tar(data: bytes, mode: Any = "w:gz") -> bytes:
    out, member = io.BytesIO(), tarfile.TarInfo("a.txt")
    member.size = len(data)
    with tarfile.open(fileobj=out, mode=mode) as tar_file:
        tar_file.addfile(member, io.BytesIO(data))
    return out.getvalue()


def wrong_checksum(data: bytes) -> bytes:
    return data[:-6] + bytes((data[-6] ^ 1,)) + data[-5:]


NOISE = random.Random(5).randbytes(3_000)
PACKED: dict[str, bytes] = {
    "gzip": gzip.compress(TEXT),
    "a byte before gzip": b"x" + gzip.compress(TEXT),
    "gzip four times over": gzip.compress(gzip.compress(gzip.compress(gzip.compress(TEXT)))),
    "gzip after much else": NOISE + gzip.compress(TEXT) + NOISE,
    "the second of two members": gzip.compress(NOISE) + gzip.compress(TEXT),
    "a byte before gzip with a wrong checksum, which zcat still writes out": b"x" + wrong_checksum(gzip.compress(TEXT)),
    "a byte before gzip that ends too soon": b"x" + gzip.compress(TEXT + NOISE)[:-9],
    "zip": packed_zip(TEXT),
    "a script before zip": b"#!/bin/sh\nexit\n" + packed_zip(TEXT),
    "zip without its table of contents": packed_zip(TEXT)[:-60],
    "zip in zip in zip": packed_zip(packed_zip(packed_zip(TEXT))),
    "zip with bzip2": packed_zip(TEXT, zipfile.ZIP_BZIP2),
    "gzip stored in zip": packed_zip(gzip.compress(TEXT), zipfile.ZIP_STORED),
    "a member that says it is stored": packed_zip(TEXT).replace(b"PK\3\4\x14\0\0\0\x08\0", b"PK\3\4\x14\0\0\0\0\0", 1),
    "tar.gz": packed_tar(TEXT),
    "tar.xz": packed_tar(TEXT, "w:xz"),
    "tar.bz2 in tar": packed_tar(packed_tar(TEXT, "w:bz2"), "w"),
    "xz after a byte": b"x" + lzma.compress(TEXT),
    "lzma": lzma.compress(TEXT, lzma.FORMAT_ALONE),
    "bzip2 after a byte": b"x" + bz2.compress(TEXT),
    "zlib, as in an object of git or a stream of a PDF": b"%PDF-1.4\nstream\n" + zlib.compress(TEXT),
    "zlib with a small window": NOISE[:500] + zlib_of(TEXT, 9),
    "a zip member without a name": b"PK\3\4\x14\0\0\0\x08\0" + bytes(20) + zlib_of(TEXT, -15),
    "a zip member of a version to come": packed_zip(TEXT).replace(b"PK\3\4\x14", b"x" + b"PK\3\4\x80", 1),
    "UTF-16 in gzip": gzip.compress(TEXT.decode().encode("utf-16")),
    "base64 over many lines": base64.encodebytes(TEXT * 3),
    "base64 with two characters too many before it": b"xy" + base64.b64encode(TEXT * 4),
    "base64 of what is not ASCII": base64.b64encode("ä".encode() + TEXT * 3),
    "base64 of gzip": base64.encodebytes(gzip.compress(TEXT + NOISE)),
    "hex over many lines": b"\n".join(binascii.hexlify(TEXT * 3)[at : at + 60] for at in range(0, 450, 60)),
    "UTF-16, big endian": TEXT.decode().encode("utf-16-be"),
    "UTF-16 after a letter": b"x" + TEXT.decode().encode("utf-16-be"),
    "UTF-32": TEXT.decode().encode("utf-32"),
    "strings in a binary": NOISE + b"\0" + LEAK.encode() + b"\0" + NOISE,
}  # fmt: skip


@pytest.mark.parametrize("kind", PACKED)
def test_what_is_packed_is_unpacked(repository: Repository, kind: str) -> None:
    result = scan.look(SSH, [repository.commit({"data": PACKED[kind]})], ["refs/heads/x"])
    assert any(str(secret).startswith("data") and secret.rule == "github-pat" for secret in result.secrets), result


def test_archives_of_every_day_pass(repository: Repository) -> None:
    clean = b"nothing to see here\n" * 2_000 + NOISE
    files = {
        "a.zip": packed_zip(clean), "a.tgz": packed_tar(clean), "a.xz": lzma.compress(clean), "a.gz": gzip.compress(clean),
        "lock.json": b'{"integrity": "sha512-%s"}\n' % base64.b64encode(NOISE[:64]) * 500, "noise.bin": NOISE * 30,
        "math.txt": b"x^2 + 1, BZh, LZIP, Rar!, 7z and MZ\n", "empty": b"",
    }  # fmt: skip
    result = scan.look(SSH, [repository.commit(files)], ["refs/heads/x"])
    assert (result.secrets, result.closed, result.too_large) == ([], [], [])


def encrypted(data: bytes) -> bytes:
    """Flag 0 of the general purpose bits, APPNOTE.TXT 4.4.4."""
    return data[:6] + bytes((data[6] | 1,)) + data[7:]


SEVEN = b"7z\xbc\xaf\x27\x1c\0\4" + zlib.crc32(bytes(20)).to_bytes(4, "little") + bytes(20)
CLOSED: dict[str, tuple[bytes, str]] = {
    "encrypted zip": (encrypted(packed_zip(TEXT)), "encrypted"),
    "encrypted zip after a byte": (b"x" + encrypted(packed_zip(TEXT)), "encrypted"),
    "zip with lzma": (packed_zip(TEXT, zipfile.ZIP_LZMA), "method 14"),
    "zip with zstd": (packed_zip(TEXT).replace(b"PK\3\4\x14\0\0\0\x08\0", b"PK\3\4\x3f\0\0\0\x5d\0", 1), "method 93"),
    "7z": (SEVEN, "7z"),
    "7z after a program": (b"MZ" + NOISE + SEVEN, "7z"),
    "rar 4": (b"Rar!\x1a\7\0\xcf\x90\x73\0\0\x0d\0", "rar"),
    "rar 5 after a byte": (b"xRar!\x1a\7\1\0" + NOISE, "rar"),
    "lzip": (b"LZIP\1\x0c" + NOISE[:60], "lzip"),
    "compress after a byte": (b"x\x1f\x9d\x90" + NOISE[:60], "compress"),
    "compress": (b"\x1f\x9d\x90" + NOISE[:60], "compress"),
    "cabinet": (b"x" + b"MSCF\0\0\0\0" + NOISE, "cabinet"),
    "broken gzip": (gzip.compress(TEXT + NOISE)[:-40], "broken"),
    "gzip with a wrong checksum": (wrong_checksum(gzip.compress(TEXT)), "broken"),
    "too deep": (gzip.compress(gzip.compress(gzip.compress(gzip.compress(gzip.compress(gzip.compress(gzip.compress(TEXT))))))), "in more than"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CLOSED)
def test_what_cannot_be_unpacked_is_refused_with_words(repository: Repository, kind: str) -> None:
    data, words = CLOSED[kind]
    result = scan.look(SSH, [repository.commit({"data": data})], ["refs/heads/x"])
    assert [line for line in result.closed if line.startswith("data: ") and words in line], result


def test_a_zstd_frame_is_known_by_its_blocks() -> None:
    frame = (
        b"\x28\xb5\x2f\xfd\x20\x05" + (5 << 3 | 1).to_bytes(3, "little") + b"hello"
    )  # RFC 8878, 3.1.1: one raw block
    assert "zstd" in sealed(b"abc" + frame + b"after")
    assert not sealed(b"abc" + frame[:-1])
    assert not sealed(b"cmp eax, \x28\xb5\x2f\xfd\xff\xff\xff" + NOISE)  # a program that knows the number


@pytest.mark.parametrize(
    ("data", "bounds"),
    [
        (gzip.compress(bytes(200 << 20)), Bounds(1 << 30)),
        (gzip.compress(NOISE * 700), Bounds(1 << 20)),
        (b"".join(gzip.compress(NOISE[:40]) for _ in range(11)), Bounds(1 << 30, members=10)),
    ],
    ids=["ratio", "bytes", "members"],
)
def test_unpacking_has_bounds(data: bytes, bounds: Bounds) -> None:
    with pytest.raises(CannotUnpack):
        list(unpacked(data, bounds))


def test_sizes_are_asked_before_contents_are_read(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty blobs that are nearly alike are small in a pack and large outside of it."""
    tip = repository.commit({f"f{number}": bytes(2 << 20) + bytes((number,)) for number in range(40)})
    monkeypatch.setattr(objects, "contents", lambda *_: pytest.fail("contents were read"))
    with pytest.raises(work.TooMuch, match="80 MB in all when unpacked, 64 MB are allowed"):
        scan.look(Remote("p", "x", max_push_mb=1), [tip], ["refs/heads/x"])


def test_a_push_has_a_number_of_objects_and_a_time(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    tip = repository.commit({f"f{number}": b"%d" % number for number in range(30)})
    with pytest.raises(work.TooMuch, match="longer than"):
        scan.look(SSH, [tip], [], (), work.Work(until=0.0))
    monkeypatch.setattr(objects, "OBJECTS", 20)
    with pytest.raises(work.TooMuch, match="more than 20 new objects"):
        scan.look(SSH, [tip], [])
    assert list(leaks.SCRATCH.iterdir()) == []


def test_a_push_that_unpacks_to_too_much_says_so_once(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the last 2,000 commits of ansible: inventories of Sphinx that unpack to 460 MB, none of them at fault."""
    monkeypatch.setattr(work, "_LEAST_MB", 4)
    little = replace(SSH, max_push_mb=1)
    files = {f"{n}.gz": gzip.compress(NOISE * (400 + n)) for n in range(4)}
    with pytest.raises(work.TooMuch, match="push it in parts"):
        scan.look(little, [repository.commit(files)], [])
    assert not scan.look(SSH, [repository.commit(files)], []).closed


def test_the_scratch_is_bounded_and_gone_at_the_end(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, seen = random.Random(1), []
    words = b" ".join(b"%d" % chosen.getrandbits(40) for _ in range(200_000))
    tip = repository.commit({f"f{number}": b"%d " % number + words for number in range(9)})
    real: Callable[..., Any] = leaks.Gitleaks._run

    def run(self: leaks.Gitleaks, folder: Path, size: int) -> Any:
        seen.append(sum(file.stat().st_size for file in leaks.SCRATCH.rglob("*") if file.is_file()))
        assert sum(file.stat().st_size for file in folder.iterdir()) <= size
        return real(self, folder, size)

    monkeypatch.setattr(leaks.Gitleaks, "_run", run)
    scan.look(SSH, [tip], [])
    assert len(seen) > 2
    assert max(seen) <= 8 << 20  # what gitleaks scans, and what is collected meanwhile
    assert list(leaks.SCRATCH.iterdir()) == []


def test_a_signature_leaves_its_strange_bytes_in_the_data_that_has_it() -> None:
    chosen = random.Random(2)
    for signature in (*unpack._STRANGE, *SEALED):
        for _ in range(20):
            around = [bytes(chosen.choices(range(256), k=40)), bytes(chosen.choices(b"abc PK\n", k=40))]
            assert strange(signature) in strange(signature.join(around))
    assert strange(b"plain text\r\n\t~") == b""


def test_what_a_killed_scan_left_is_cleared(repository: Repository) -> None:
    (leaks.SCRATCH / "scan-999999999/files").mkdir(parents=True)
    (leaks.SCRATCH / "scan-1/files").mkdir(parents=True)  # a process that is alive
    scan.look(SSH, [repository.commit({"a": b"1"})], [])
    assert [left.name for left in leaks.SCRATCH.iterdir()] == ["scan-1"]
    leaks.clear()
    assert list(leaks.SCRATCH.iterdir()) == []


def test_what_gitleaks_did_not_look_at_is_no_clean_push(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    tip = repository.commit({"a": b"clean"})
    real: Callable[..., Any] = leaks.Gitleaks._run
    monkeypatch.setattr(leaks.Gitleaks, "_run", lambda *given: real(*given)[1:])
    with pytest.raises(work.ScanError, match="did not scan 1 of"):
        scan.look(SSH, [tip], [])


def test_rules_that_go_by_names_get_them(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """config/gitleaks.toml of 8.30: `path = ` of hashicorp-tf-password, kubernetes-secret-yaml, nuget, pkcs12-file."""
    seen: list[str] = []
    real: Callable[..., Any] = leaks.Gitleaks._run

    def run(self: leaks.Gitleaks, folder: Path, size: int) -> Any:
        seen.extend(file.name for file in folder.iterdir())
        return real(self, folder, size)

    monkeypatch.setattr(leaks.Gitleaks, "_run", run)
    tip = repository.commit({"vendor/a.tf": b"1", "b.YAML": b"2", "x/nuget.config": b"3", "k.p12": b"", "go.sum": b"4"})
    scan.look(SSH, [tip], [])
    endings = {name.lstrip("0123456789") for name in seen}
    assert endings == {".txt", ".tf", ".YAML", "-nuget.config", ".p12"}


def test_push_options_are_looked_at(repository: Repository) -> None:
    result = scan.look(SSH, [], ["refs/heads/x"], ["ci.skip", f"note={LEAK}"])
    assert [str(secret) for secret in result.secrets] == ["a push option, line 2: REDACTED (rule github-pat)"]


def test_unpacking_does_not_read_its_own_source_as_an_archive() -> None:
    for module in (unpack, plain, leaks):
        assert list(unpacked(Path(str(module.__file__)).read_bytes(), Bounds(1 << 20))) == []


def test_bytes_that_look_like_the_head_of_lzma_are_none_and_a_large_dictionary_hides_nothing() -> None:
    """As in a PNG of flask's: 5d 00 00, a dictionary of gigabytes, no size. .lzma says its dictionary in bytes 1 to 4."""
    head = b"\x5d\0\0\xf0\xf0" + b"\xff" * 8
    chosen = random.Random(4)
    for _ in range(50):
        for content in unpacked(b"x" * 20 + head + b"\0" + chosen.randbytes(3_000), Bounds(1 << 20)):
            assert len(content) < 4096
    real = lzma.compress(TEXT, lzma.FORMAT_ALONE)
    assert any(LEAK.encode() in content for content in unpacked(real[:1] + b"\0\0\0\xf0" + real[5:], Bounds(1 << 20)))
    large = lzma.compress(TEXT * 200, lzma.FORMAT_ALONE)
    with pytest.raises(CannotUnpack, match="memory"):
        list(unpacked(large[:1] + b"\0\0\0\xf0" + large[5:], Bounds(1 << 20)))
