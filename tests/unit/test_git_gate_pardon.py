"""Findings of a push that their owner lets pass once: exactly these, and nothing of them is shown in clear."""

from __future__ import annotations

import random
import string
from pathlib import Path
from typing import Any

import pytest
from gate_daemon import HookedGate, environment
from gate_repository import LEAK, SSH, Repository, repository

from claude_bottle.policy.once import Once
from sidecar_images.git_gate import mirror
from sidecar_images.git_gate.pardon import findings_digest, hold, pardonable
from sidecar_images.git_gate.remotes import Remote
from sidecar_images.git_gate.scanning import known, scan
from sidecar_images.git_gate.scanning.masked import Mask
from sidecar_images.git_gate.scanning.scan import Judged, Looked

__all__ = ["repository"]
OTHER = "ghp_" + "Z9y8X7w6V5u4T3s2R1q0P9o8N7m6L5k4J3h2"
PROPOSALS = ("p-0123456789", "p-9876543210")


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HookedGate:
    monkeypatch.setattr(mirror, "RUN", tmp_path)
    monkeypatch.setattr(Remote, "mirror", property(lambda self: tmp_path / f"{self.name}.git"))
    monkeypatch.setattr(Remote, "environment", lambda *_: environment(tmp_path))
    return HookedGate(tmp_path)


def asked(said: str) -> str:
    assert "or, if these are not secrets and may pass once" in " ".join(said.replace("remote:", "").split())
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
    assert '"test.py", line 1' in page["text"]
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


def a_finding(**more: Any) -> Judged:
    return Judged(
        **{"digest": "d", "where": "blob 1 rule", "shown": "a.py, line 1", "context": "k = [3 letters]", **more}
    )


def a_token(number: int) -> str:
    generator = random.Random(number)
    return "ghp_" + "".join(generator.choice(string.ascii_letters + string.digits) for _ in range(36))


def test_only_what_an_owner_can_judge_is_asked_for() -> None:
    assert pardonable(Looked(judged=[a_finding()]))
    assert not pardonable(Looked())
    assert not pardonable(Looked(judged=[a_finding()], beyond=True))
    for other in ({"too_large": ["x"]}, {"lfs": ["x"]}, {"closed": ["x"]}):
        assert not pardonable(Looked(judged=[a_finding()], **other))


def test_nothing_hides_behind_another_finding_of_its_line(gate: HookedGate) -> None:
    """The old fault: the 101st value of a push has no digest, and stood on a line with one that had."""
    decoys = [a_token(number) for number in range(100)]
    files = {"a.txt": "".join(f"k = {one}\n" for one in decoys), "b.txt": f"k = {decoys[0]} {a_token(1000)}\n"}
    gate.work.commit({name: text.encode() for name, text in files.items()}, "many")
    said = gate.push("HEAD:refs/heads/side")
    assert said.returncode == 1
    assert "value=sha256:" not in said.stderr


@pytest.mark.parametrize("first", [True, False])
def test_the_gates_own_credential_is_never_asked_for(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    own = "gate-own-token-ABCDEFGHIJKLMNOP0123456789"
    monkeypatch.setattr(scan, "own_credentials", lambda: [own])
    line = f"k = {own} {LEAK}\n" if first else f"k = {LEAK} {own}\n"
    looked = scan.look(SSH, [repository.commit({"b.txt": line.encode()})], ["refs/heads/x"])
    assert looked.secrets
    assert not pardonable(looked)


def test_a_login_at_a_forward_proxy_is_the_gates_own(tmp_path: Path) -> None:
    (tmp_path / "proxy.login").write_text("me:corp-login-1234567\n")
    assert known.own_credentials(tmp_path) == ["corp-login-1234567"]


def test_a_page_has_no_secret_in_clear_and_no_line_of_the_agents(repository: Repository) -> None:
    name = f"d/{LEAK}\nx.py, line 1 (github-pat).py"
    looked = scan.look(SSH, [repository.commit({name: f"k = {LEAK} {OTHER}\n".encode()})], ["refs/heads/x"])
    assert pardonable(looked)
    text = "".join(one.shown + one.context for one in looked.judged)
    assert LEAK not in text
    assert OTHER not in text
    assert "\n" not in "".join(one.shown for one in looked.judged)


def test_masks_overlap() -> None:
    assert Mask(["abcdef", "defghi", " "]).hide("x abcdefghi y abc") == "x [9 letters] y abc"
    assert Mask(["aa"]).hide("aaa") == "[3 letters]"
    assert len(Mask([]).hide("a" * 1000)) == 201


def test_the_digest_is_of_values_contents_and_the_upstream() -> None:
    one = findings_digest(SSH, [a_finding()])
    assert one == findings_digest(SSH, [a_finding(shown="elsewhere", context="y")])
    others = [findings_digest(SSH, [a_finding(digest="e")]), findings_digest(SSH, [a_finding(where="blob 2 rule")])]
    assert len({one, *others, findings_digest(Remote("q", SSH.upstream), [a_finding()])}) == 4


def test_the_same_name_up_to_a_line_end_is_another_place(repository: Repository) -> None:
    start = repository.git("rev-parse", "HEAD").strip()
    digests = set()
    for name, text in (("a.py\nx", f"k = {LEAK}\n"), ("a.py", f"\n\n\nk = {LEAK}\n")):
        looked = scan.look(SSH, [repository.commit({name: text.encode()})], ["refs/heads/x"])
        digests.add(findings_digest(SSH, looked.judged))
        repository.git("reset", "-q", "--hard", start)
    assert len(digests) == 2


def test_many_findings_are_pages(tmp_path: Path) -> None:
    once = Once(tmp_path / "once")
    digest = hold(once, SSH, [a_finding(digest=f"{n:032x}") for n in range(120)])
    held = once.held(digest)
    assert held is not None
    assert held["pages"] == 3
    assert held["what"].startswith("120 findings in a push to ")
