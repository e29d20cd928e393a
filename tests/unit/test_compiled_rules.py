"""A process that finds compiled databases loads them and finds the same; without them, or with damaged ones, it compiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hyperscan
import pytest

from claude_bottle.dlp.rules import compiled
from claude_bottle.dlp.rules.ruleset import RuleSet
from sidecar_images.proxy import compile_rules

# Of the shape in GitHub's documentation, "About authentication to GitHub": `ghp_` and 36 letters.
TOKEN = b"ghp_" + b"1B4a2c8D9e7F" * 3
TEXTS = [TOKEN, TOKEN[::-1], b"nothing", b"", b"AKIA" + b"QYLPMN5HHHFPZAM2", b"sourcegraph sgp_" + b"a1b2c3d4e5" * 4]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(compiled, "FOLDER", tmp_path / "databases")
    monkeypatch.setattr(compile_rules, "FOLDER", tmp_path / "databases")
    return tmp_path / "databases"


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []
    original = hyperscan.Database.compile

    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(kwargs)
        return original(self, *args, **kwargs)

    class Counted(hyperscan.Database):
        compile = counted

    monkeypatch.setattr(hyperscan, "Database", Counted)
    return calls


def results(rules: RuleSet) -> list[tuple[str, list[tuple[str, bytes]]]]:
    return [(rule.id if (rule := rules.find(text)) else "", list(rules.mirror.readings(text))) for text in TEXTS]


def test_the_rules_as_they_come_are_loaded_and_find_the_same(folder: Path, compilations: list[Any]) -> None:
    before = results(RuleSet())
    assert compilations
    compile_rules.main()
    assert list(folder.iterdir())
    compilations.clear()
    assert results(RuleSet()) == before
    assert not compilations
    assert before[0][0] == "github-pat"


def test_other_expressions_are_compiled(folder: Path, compilations: list[Any]) -> None:
    compile_rules.main()
    compilations.clear()
    own = RuleSet(extra=[("ticket", "tkt_[a-z]{8}")])
    assert compilations
    assert (rule := own.find(b"tkt_abcdefgh")) is not None
    assert rule.id == "ticket"
    assert (rule := RuleSet(disabled=["github-pat"]).find(TOKEN)) is None or rule.id != "github-pat"


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"\0" * len(data)]
)
def test_a_damaged_database_is_compiled_anew(folder: Path, compilations: list[Any], damage: Any) -> None:
    before = results(RuleSet())
    compile_rules.main()
    compilations.clear()
    for file in folder.iterdir():
        file.write_bytes(damage(file.read_bytes()))
    assert results(RuleSet()) == before
    assert compilations


def test_nothing_is_kept_after_the_build(folder: Path) -> None:
    with compiled.keeping() as databases:
        pass
    compiled.database([(0, b"of a token")], 0)
    assert not databases
    assert not folder.exists()
