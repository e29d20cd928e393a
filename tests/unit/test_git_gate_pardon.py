"""Findings of a push that their owner lets pass once: exactly these, and nothing of them is shown in clear."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gate_daemon import HookedGate, environment
from gate_repository import LEAK, SSH

from claude_bottle.policy.once import Once
from sidecar_images.git_gate import mirror
from sidecar_images.git_gate.pardon import findings_digest, hold, pardonable
from sidecar_images.git_gate.remotes import Remote
from sidecar_images.git_gate.scanning.scan import Looked, Secret

OTHER = "ghp_" + "Z9y8X7w6V5u4T3s2R1q0P9o8N7m6L5k4J3h2"
PROPOSALS = ("p-0123456789", "p-9876543210")


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HookedGate:
    monkeypatch.setattr(mirror, "RUN", tmp_path)
    monkeypatch.setattr(Remote, "mirror", property(lambda self: tmp_path / f"{self.name}.git"))
    monkeypatch.setattr(Remote, "environment", lambda *_: environment(tmp_path))
    return HookedGate(tmp_path)


def asked(said: str) -> str:
    assert "or, if these are no secrets and may pass this one time" in " ".join(said.replace("remote:", "").split())
    return next(word.removeprefix("value=") for word in said.split() if word.startswith("value=sha256:"))


def test_what_its_owner_lets_pass_passes_once_and_nothing_else(gate: HookedGate) -> None:
    gate.work.commit({"test.py": f'EXAMPLE_KEY = "{LEAK}"\n'.encode()}, "a test's key")
    said = gate.push("HEAD:refs/heads/side").stderr
    digest, once = asked(said), Once(gate.folder / "once")
    held = once.held(digest)
    page = once.page(digest, 1)
    assert held is not None
    assert page is not None
    assert LEAK not in str(held) + str(page)
    assert "test.py, line 1" in page["text"]
    assert f"[{len(LEAK)} letters]" in page["text"]

    assert once.grant(digest, PROPOSALS[0])
    # Another secret beside it is another question, and leaves the grant as it is.
    kept = gate.work.git("rev-parse", "HEAD").strip()
    gate.work.commit({"more.py": f"k = {OTHER}\n".encode()}, "one more")
    refused = gate.push("HEAD:refs/heads/side")
    assert refused.returncode != 0
    assert asked(refused.stderr) != digest
    gate.work.git("reset", "-q", "--hard", kept)

    passed = gate.push("HEAD:refs/heads/side")
    assert passed.returncode == 0, passed.stderr
    assert [entry[2].get("findings") for entry in gate.record() if entry[1] == "forwarding"] == [digest]


def test_a_grant_is_used_up(gate: HookedGate) -> None:
    start = gate.work.git("rev-parse", "HEAD").strip()
    gate.work.commit({"a.py": f"k = {LEAK}\n".encode()}, "a key")
    once = Once(gate.folder / "once")
    digest = asked(gate.push("HEAD:refs/heads/one").stderr)
    once.grant(digest, PROPOSALS[0])
    assert gate.push("HEAD:refs/heads/one").returncode == 0
    # The upstream forgets it, so it would be news again.
    gate.upstream.git("update-ref", "-d", "refs/heads/one")
    mirror.refresh(gate.remote)
    gate.work.git("reset", "-q", "--hard", start)
    gate.work.commit({"a.py": f"k = {LEAK}\n".encode()}, "a key again")
    again = gate.push("HEAD:refs/heads/two")
    assert (again.returncode, asked(again.stderr)) == (1, digest)


def a_secret(**more: Any) -> Secret:
    return Secret("a.py", 1, "rule", "c" * 40, **{"digests": ("d",), "context": ("k = [3 letters]",), **more})


def test_only_what_an_owner_can_judge_is_asked_for() -> None:
    assert pardonable(Looked([a_secret()]))
    assert not pardonable(Looked())
    assert not pardonable(Looked([a_secret(), a_secret(digests=(), context=())]))  # the gate's own credential
    for other in ({"too_large": ["x"]}, {"lfs": ["x"]}, {"closed": ["x"]}):
        assert not pardonable(Looked([a_secret()], **other))


def test_the_digest_is_of_values_places_and_the_upstream() -> None:
    one = findings_digest(SSH, [a_secret()])
    assert one == findings_digest(SSH, [replace(a_secret(), commit="e" * 40)])
    assert (
        len(
            {
                one,
                findings_digest(SSH, [a_secret(digests=("e",))]),
                findings_digest(Remote("q", SSH.upstream), [a_secret()]),
            }
        )
        == 3
    )


def test_many_findings_are_pages(tmp_path: Path) -> None:
    once = Once(tmp_path / "once")
    digest = hold(once, SSH, [a_secret(digests=(f"{n:032x}",)) for n in range(120)])
    held = once.held(digest)
    assert held is not None
    assert held["pages"] == 3
    assert held["what"].startswith("120 findings in a push to ")
