"""What keeps a checkout up to date and what it takes from outside; nothing here asks the outside."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from claude_bottle.engines.images.base_image import LOCK, BaseLock
from toolchain import __main__ as command
from toolchain import archives, audit, docker_engine, environment, newer, update
from toolchain.newer import Age
from toolchain.pulumi_cli import PLUGINS, VERSION
from toolchain.shell import ROOT, SetupError


def archive(**files: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(f"pulumi/{name}")
            info.size, info.mode = len(text), 0o755
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def locked(folder: Path, digest: str, version: str = "1.0") -> Path:
    lock = folder / "archives.lock"
    lock.write_text(f'# words\n[cli]\nversion = "{version}"\n{archives.this_platform()} = "{digest}"\n')
    return lock


# --- what the set-up takes from outside


def test_an_official_archive_is_taken_by_its_digest_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = archive(pulumi="the program")
    asked: list[str] = []
    monkeypatch.setattr(archives, "fetch", lambda address: asked.append(address) or data)
    lock = locked(tmp_path, hashlib.sha256(data).hexdigest())
    monkeypatch.setattr(archives, "recorded", lambda kind, version: recorded(kind, version, lock=lock))
    assert archives.verified("cli", "2.0") is None, "another version"
    assert asked == []
    assert archives.verified("cli", "1.0") == data
    archives.unpack(data, "pulumi", tmp_path / "home/bin")
    assert (tmp_path / "home/bin/pulumi").read_text() == "the program"
    lock = locked(tmp_path, "0" * 64)
    with pytest.raises(SetupError, match="not what was recorded"):
        archives.verified("cli", "1.0")


recorded = archives.recorded


def test_an_archive_that_cannot_be_reached_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(address: str) -> bytes:
        raise OSError(f"no network for {address}")

    monkeypatch.setattr(archives, "fetch", fails)
    monkeypatch.setattr(archives, "recorded", lambda kind, version: "0" * 64)
    assert archives.verified("cli", "1.0") is None
    lock = locked(tmp_path, "0" * 64)
    before = lock.read_text()
    with pytest.raises(OSError, match="no network"):
        archives.pin({"cli": "3.0"}, lock)
    assert lock.read_text() == before


def test_pin_records_every_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "fetch", lambda address: address.encode())
    lock = locked(tmp_path, "0" * 64)
    archives.pin({"cli": "3.0", "docker": "5.2.0"}, lock)
    for kind, version in (("cli", "3.0"), ("docker", "5.2.0")):
        for on in archives.PLATFORMS:
            assert (
                recorded(kind, version, on, lock)
                == hashlib.sha256(archives.url(kind, version, on).encode()).hexdigest()
            )
    assert lock.read_text().startswith("# words\n")


def test_nothing_downloaded_is_run_or_installed_unverified() -> None:
    """No script from the network, no plugin without its digest, none that the CLI fetches by itself."""
    source = "".join(path.read_text() for path in (ROOT / "toolchain").glob("*.py"))
    assert not re.search(r"get\.pulumi\.com[\"'/]?[\"']", source), "the installer's script"
    assert source.count('"plugin", "install"') == 1
    assert '"--checksum", checksum' in source
    assert environment.environment()["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "true"
    for kind, version in {"cli": VERSION, **PLUGINS}.items():
        digest = archives.recorded(kind, version)
        assert digest is None or re.fullmatch(r"[0-9a-f]{64}", digest)


def test_the_base_is_pulled_by_digest_or_made_of_one_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def run(argv: list[Any], what: str, **_: Any) -> None:
        ran.append([str(word) for word in argv])
        if "pull" in ran[-1] and not reachable:
            raise SetupError("no registry")

    lock = BaseLock("debian:trixie-slim", f"sha256:{'a' * 64}", "20300102T000000Z")
    monkeypatch.setattr(docker_engine, "run", run)
    monkeypatch.setattr(docker_engine.shutil, "which", lambda name: name)
    for reachable in (True, False):
        monkeypatch.setattr(docker_engine, "snapshots_answer", lambda reachable=reachable: reachable)
        ran.clear()
        docker_engine.BaseImage(lock).get()
        build_command = ran[-1]
        assert ran[0][-1] == f"debian@sha256:{'a' * 64}"
        assert "--no-cache" in build_command and lock.tag in build_command
        if reachable:
            assert (
                f"UPSTREAM=debian@sha256:{'a' * 64}" in build_command and "SNAPSHOT=20300102T000000Z" in build_command
            )
        else:
            assert "SNAPSHOT=" in build_command and any(
                word.startswith("UPSTREAM=claude-bottle/debian:20") for word in build_command
            )
            assert any(word.startswith("claude-bottle.from=") and f"{newer.today()}" in word for word in build_command)


# --- update and the way back


@pytest.fixture
def pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Pins of a checkout of its own, with nothing of this machine asked or built."""
    folder = tmp_path / "checkout"
    for path in update.PINS:
        (folder / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        (folder / path.relative_to(ROOT)).write_text(path.read_text())
    moved = tuple(folder / path.relative_to(ROOT) for path in update.PINS)
    lock = moved[0]
    read = BaseLock.read.__func__  # type: ignore[attr-defined]
    write = BaseLock.write
    world: dict[str, Any] = {"lock": lock, "pins": moved, "newer": {}, "built": 0, "fails": False}
    monkeypatch.setattr(BaseLock, "read", classmethod(lambda cls, file=lock: read(cls, file)))
    monkeypatch.setattr(BaseLock, "write", lambda self, file=lock: write(self, file))
    monkeypatch.setattr(update, "ROOT", folder)
    monkeypatch.setattr(update, "PINS", moved)
    monkeypatch.setattr(update, "STATE", tmp_path / "state")
    monkeypatch.setattr(update, "ensure", lambda step: None)
    monkeypatch.setattr(update, "_sboms", lambda: {"agent": {"openssl": str(world["built"])}})
    monkeypatch.setattr(update, "_tell_stacks", lambda: None)
    monkeypatch.setattr(newer, "write_claude", lambda version: moved[1].write_text(version))
    monkeypatch.setattr(newer, "write_go", lambda version: moved[3].write_text(version))

    def build() -> None:
        world["built"] += 1
        if world["fails"]:
            raise SetupError("the build failed")

    def ages() -> list[Age]:
        now = BaseLock.read()
        versions = {
            "base image": now.digest,
            "Debian packages": now.snapshot,
            "Claude Code": "1",
            "Go of gitleaks": "2",
        }
        return [Age(name, value, None, world["newer"].get(name)) for name, value in versions.items()]

    monkeypatch.setattr(update, "_build", build)
    monkeypatch.setattr(update, "ages", ages)
    return world


def test_an_update_pins_what_is_newer_and_the_way_back_takes_it_away(
    pins: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_text() for path in pins["pins"]}
    pins["newer"] = {"base image": f"sha256:{'b' * 64}", "Debian packages": "20310101T000000Z", "Claude Code": "9"}
    assert update.update() == 0
    text = pins["lock"].read_text()
    assert f'digest = "sha256:{"b" * 64}"' in text and 'snapshot = "20310101T000000Z"' in text
    assert text.count("#") == before[pins["lock"]].count("#"), "comments stay"
    assert pins["pins"][1].read_text() == "9"
    assert "  openssl: 0 -> 1" in capsys.readouterr().out
    pins["newer"]["Debian packages"] = "20320101T000000Z"
    assert update.update() == 0
    assert update.back() == 0
    assert 'snapshot = "20310101T000000Z"' in pins["lock"].read_text()
    assert update.back() == 0
    assert {path: path.read_text() for path in pins["pins"]} == before
    with pytest.raises(SetupError, match="no update"):
        update.back()


def test_an_update_without_a_network_changes_nothing_and_says_so(
    pins: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_text() for path in pins["pins"]}
    assert update.update() == 1
    assert "no network" in capsys.readouterr().err
    assert {path: path.read_text() for path in pins["pins"]} == before
    assert pins["built"] == 0


def test_an_update_that_cannot_be_built_leaves_every_pin(pins: dict[str, Any]) -> None:
    before = {path: path.read_text() for path in pins["pins"]}
    pins.update(fails=True, newer={"Debian packages": "20310101T000000Z"})
    with pytest.raises(SetupError, match="the build failed"):
        update.update()
    assert {path: path.read_text() for path in pins["pins"]} == before
    with pytest.raises(SetupError, match="no update"):
        update.back()


def test_the_way_back_is_never_over_an_edit(pins: dict[str, Any]) -> None:
    pins["newer"] = {"Debian packages": "20310101T000000Z"}
    update.update()
    pins["lock"].write_text(pins["lock"].read_text() + "# mine\n")
    with pytest.raises(SetupError, match=re.escape("sidecar_images/base/base.lock")):
        update.back()
    assert pins["lock"].read_text().endswith("# mine\n")


def test_stacks_that_run_another_image_are_told() -> None:
    new = [["base", "proxy"], ["base", "agent"]]
    running = [
        ("current", ["base", "proxy"]),
        ("packages", ["base", "agent", "packages"]),
        ("old", ["older", "proxy"]),
        ("mixed", ["base", "agent"]),
        ("mixed", ["older", "proxy"]),
    ]
    assert update.outdated(running, new) == ["mixed", "old"]
    assert update.outdated([("old", ["x"])], [[]]) == ["old"], "an image that is not there is under none"


def test_doctor_tells_what_is_old(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "steps", lambda dev: [])
    monkeypatch.setattr(command, "quiet", lambda *argv, **_: "20.10.24+dfsg1" if argv[0] == "docker" else "12 images")
    entries = [Age("Debian packages", "20260101T000000Z", 90, "20260401T000000Z"), Age("Claude Code", "1", None, None)]
    monkeypatch.setattr(update, "ages", lambda: entries)
    monkeypatch.setattr(command, "machine_roots", lambda: {Path("/roots/corp.crt"): ["pem"]})
    monkeypatch.setattr(command, "machine_notes", lambda: ["of this machine"])
    assert command.doctor() == 0
    out = capsys.readouterr().out
    assert "not maintained by Moby since 2023-12-10" in out
    assert "90 days old; newer: 20260401T000000Z" in out
    assert "Claude Code      1; nobody answers" in out
    assert out.splitlines()[-1] == "all there, 3 not up to date"
    assert "old      12 images\n" in out
    assert "note     this machine trusts additional roots (/roots/corp.crt)" in out
    assert "note     of this machine\n" in out
    monkeypatch.setattr(command, "quiet", lambda *argv, **_: "99.0.1" if argv[0] == "docker" else "")
    monkeypatch.setattr(update, "ages", lambda: [])
    command.doctor()
    assert capsys.readouterr().out.splitlines()[-1] == "all there"


def test_engines_whose_maintenance_ended() -> None:
    versions = {"20.10.24+dfsg1": True, "23.0.3": True, "24.0.9": True, "27.5.1": True, "29.1.0": False, "": False}
    assert {version: newer.engine_ended(version) is not None for version in versions} == versions


def test_the_newest_go_is_a_release(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = "golang.org/toolchain v0.0.1-go1.9rc2.linux-amd64 v0.0.1-go1.27.4.linux-amd64 v0.0.1-go1.27.10.linux-amd64"
    listed += " v0.0.1-go1.28rc1.linux-amd64 v0.0.1-go1.30.1.windows-amd64"
    monkeypatch.setattr(newer, "quiet", lambda *argv, **_: listed)
    monkeypatch.setattr(newer, "find_go", lambda: Path("go"))
    assert newer.go_newest() == "1.27.10"
    monkeypatch.setattr(newer, "quiet", lambda *argv, **_: None)
    assert newer.go_newest() is None


# --- audit


def test_an_audit_tells_findings_from_a_database_that_does_not_answer() -> None:
    hole = {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}
    clean, skipped = {"name": "b", "version": "1", "vulns": []}, {"name": "c", "skip_reason": "not found"}
    outcome = audit.python_outcome("x.lock", {"dependencies": [hole, clean, skipped]})
    assert outcome.holes == ("a 1: PYSEC-1, fixed in 2", "c: not checked")
    nobody = audit.python_outcome("x.lock", {"dependencies": [skipped, skipped]})
    assert nobody.unreachable and audit.python_outcome("x.lock", {}).unreachable
    good = audit.python_outcome("x.lock", {"dependencies": [clean]})
    assert [audit.exit_code(o) for o in ([good], [good, nobody], [outcome, nobody])] == [0, 3, 1]


def test_go_findings_are_those_whose_function_is_in_the_program() -> None:
    def finding(osv: str, **trace: str) -> dict[str, Any]:
        return {"finding": {"osv": osv, "fixed_version": "v2", "trace": [{"module": "m", "version": "v1", **trace}]}}

    lines = [{"config": {}}, finding("GO-1"), finding("GO-2", function="f"), finding("GO-2", function="g")]
    text = "\n".join(json.dumps(line, indent=2) for line in lines)
    assert audit.go_outcome("p", audit.documents(text)).holes == ("GO-2: m v1, fixed in v2",)


def test_the_database_of_go_is_what_govulncheck_reads(tmp_path: Path) -> None:
    events = [{"introduced": "0"}, {"fixed": "1.2.3"}]
    entry = {"id": "GO-1", "modified": "2026-01-01T00:00:00Z", "aliases": ["CVE-1"]}
    affected = [{"package": {"name": "example.com/m"}, "ranges": [{"type": "SEMVER", "events": events}]}]
    (tmp_path / "osv").mkdir()
    (tmp_path / "osv/GO-1.json").write_text(json.dumps({**entry, "affected": affected}))
    audit.database(tmp_path / "osv", tmp_path / "db")
    read = {file.stem: json.loads(file.read_text()) for file in (tmp_path / "db").rglob("*.json")}
    assert read["db"] == {"modified": "2026-01-01T00:00:00Z"}
    hole = {"id": "GO-1", "modified": "2026-01-01T00:00:00Z", "fixed": "1.2.3"}
    assert read["modules"] == [{"path": "example.com/m", "vulns": [hole]}]
    assert read["vulns"] == [entry] and read["GO-1"]["affected"] == affected


def test_what_renovate_watches_is_there() -> None:
    config = json.loads((ROOT / "renovate.json").read_text())
    match = re.search(_python_regex(config["customManagers"][0]["matchStrings"][0]), LOCK.read_text())
    assert match and match["depName"] == "debian" and match["currentDigest"] == BaseLock.read().digest
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    locks = [re.compile(p.strip("/")) for p in config["pip-compile"]["managerFilePatterns"]]
    for name in listed:
        if name.endswith(".lock") and Path(name).name not in ("base.lock", "go.lock", "archives.lock"):
            assert any(lock.search(name) for lock in locks), name


def _python_regex(text: str) -> str:
    return text.replace("(?<", "(?P<")


def test_a_lock_is_written_in_place(tmp_path: Path) -> None:
    file = tmp_path / "base.lock"
    file.write_text(LOCK.read_text())
    lock = replace(BaseLock.read(), snapshot="20990101T000000Z")
    lock.write(file)
    assert BaseLock.read(file) == lock
    assert len(file.read_text().splitlines()) == len(LOCK.read_text().splitlines())
