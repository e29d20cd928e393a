"""Roots of the machine that a manifest does not name. Source: update-ca-certificates(8): *.crt below the folder, in PEM."""

from __future__ import annotations

from pathlib import Path

import pytest

from claude_bottle.host import machine_roots
from components import images

PEM = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"


def test_those_that_no_file_of_the_manifest_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system, base = tmp_path / "system", tmp_path / "stacks"
    for folder in (system / "corp", base):
        folder.mkdir(parents=True)
    monkeypatch.setattr(machine_roots, "FOLDER", system)
    (system / "corp/a.crt").write_text(PEM.format("AAAA"))
    (system / "b.crt").write_text("words\n" + PEM.format("BBBB"))
    (system / "empty.crt").write_text("")
    (base / "corp-root.pem").write_text(PEM.format("AAAA").replace("\n", "\r\n"))
    assert machine_roots.not_named(["corp-root.pem", "missing.pem"], base) == [system / "b.crt"]
    words = machine_roots.advice([system / "b.crt"])
    assert "upstream_not_trusted" in words
    assert "pipelock.ca_files" in words
    assert images.extra_roots()
    monkeypatch.setenv("CLAUDE_BOTTLE_EXTRA_ROOTS", "off")
    assert machine_roots.not_named([], base) == []
    assert images.extra_roots() == ""
