"""git-gate judges what a push adds: what the upstream has is no news, and nothing else is known by it."""

from __future__ import annotations

import io
import random
import re
import re._parser as re_parser  # type: ignore[import-not-found]
import tomllib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from gate_repository import LEAK, SSH, Repository, repository

from sidecar_images.git_gate.advice import how_to_remove
from sidecar_images.git_gate.remotes import Remote
from sidecar_images.git_gate.scanning import known, leaks, scan, work
from sidecar_images.git_gate.scanning.added import FAR, LINES, NEAR, added
from sidecar_images.git_gate.scanning.finding import Finding

__all__ = ["repository"]

RULES = Path(leaks.claude_bottle.dlp.rules.__file__).parent
OTHER = "ghp_" + "Z9y8X7w6V5u4T3s2R1q0P9o8N7m6L5k4J3h2"
ROWS = [f"line {number} of a file that is somewhat longer than what stands around a change\n" for number in range(200)]
PEM = [
    "-----BEGIN RSA PRIVATE KEY-----\n",
    *(f"{n:03}{'Ab3+' * 15}\n" for n in range(70)),
    "-----END RSA PRIVATE KEY-----\n",
]


def file(*lines: str, at: int = 100) -> bytes:
    return "".join([*ROWS[:at], *lines, *ROWS[at:]]).encode()


def upstream(repository: Repository, files: dict[str, bytes], message: str = "upstream's") -> None:
    """From now on these are the upstream's."""
    repository.git("update-ref", "refs/heads/main", repository.commit(files, message))


def places(repository: Repository, tip: str, remote: Remote = SSH) -> list[str]:
    return [str(secret) for secret in scan.look(remote, [tip], ["refs/heads/x"]).secrets]


def refused(place: str, line: int, commit: str, rule: str = "github-pat") -> list[str]:
    return [f"{place}, line {line}, commit {commit[:12]}: REDACTED (rule {rule})"]


@pytest.mark.parametrize("change", ["far", "beside", "the same line", "renamed", "moved", "copied to a message"])
def test_what_the_upstream_has_is_no_news(repository: Repository, change: str) -> None:
    old = file(f"key = {LEAK}\n")
    upstream(repository, {"a.py": old})
    if change in ("renamed", "moved"):
        (repository.folder / "a.py").unlink()
    tip = {
        "far": lambda: repository.commit({"a.py": b"first\n" + old}),
        "beside": lambda: repository.commit({"a.py": file("new\n", f"key = {LEAK}\n", "new\n")}),
        "the same line": lambda: repository.commit({"a.py": file(f"name = {LEAK}  # ours\n")}),
        "renamed": lambda: repository.commit({"src/b.py": old + b"more\n"}),
        "moved": lambda: repository.commit({"c.yml": f"token: {LEAK}\n".encode()}),
        "copied to a message": lambda: repository.commit({"a.py": b"1\n"}, f"drop {LEAK}"),
    }[change]()
    assert places(repository, tip) == []


def test_what_an_older_commit_of_the_upstream_had_is_no_news(repository: Repository) -> None:
    upstream(repository, {"a.py": file(f"key = {LEAK}\n")})
    upstream(repository, {"a.py": file()})
    assert places(repository, repository.commit({"b.py": LEAK.encode()})) == []


def test_a_new_one_beside_an_old_one_is_told_once_with_its_first_commit(repository: Repository) -> None:
    upstream(repository, {"a.py": file(f"key = {LEAK}\n")})
    first = repository.commit({"a.py": file(f"key = {LEAK}\n", f"key = {OTHER}\n")})
    for number in range(5):
        tip = repository.commit({"a.py": file(f"{number}\n", f"key = {LEAK}\n", f"key = {OTHER}\n", f"{number}\n")})
    tip = repository.commit({"a.py": file(f"key = {LEAK}\n")})
    assert places(repository, tip) == refused("a.py", 102, first)


def test_every_place_is_told(repository: Repository) -> None:
    first = repository.commit({"a.py": OTHER.encode()})
    second = repository.commit({"b.py": f"{OTHER}\n".encode()})
    assert places(repository, second) == [*refused("a.py", 1, first), *refused("b.py", 1, second)]


def test_what_only_a_refused_push_brought_is_not_known(repository: Repository) -> None:
    """Its objects may be in the database still; no ref reaches them."""
    start = repository.git("rev-parse", "HEAD")
    assert places(repository, repository.commit({"a.py": file(f"key = {LEAK}\n")}))
    repository.git("reset", "-q", "--hard", start)
    tip = repository.commit({"a.py": file(f"key = {LEAK}\n"), "b.py": b"1\n"})
    assert places(repository, tip) == refused("a.py", 101, tip)


def test_what_another_upstream_has_is_not_known(repository: Repository, tmp_path: Path) -> None:
    other = Repository(tmp_path / "other")
    upstream(other, {"a.py": LEAK.encode()})
    tip = repository.commit({"a.py": LEAK.encode()})
    assert places(repository, tip) == refused("a.py", 1, tip)


@pytest.mark.parametrize("held", ["p.token", "q.token", "p.key"])
def test_a_credential_of_the_bottle_counts_where_the_upstream_has_it_too(
    repository: Repository, tmp_path: Path, held: str
) -> None:
    credential = PEM[40].strip() if held.endswith("key") else "a-token-of-no-known-shape"
    (tmp_path / "etc" / held).write_text("".join(PEM) if held.endswith("key") else f"{credential}\n")
    upstream(repository, {"a.py": file(f"x {credential}\n")})
    tip = repository.commit({"a.py": file(f"x {credential}\n") + b"far away\n"})
    assert places(repository, tip) == refused("a.py", 101, tip, known.OWN_RULE)
    tip = repository.commit({"a.py": b"1\n"}, f"message with {credential}")
    assert f"(rule {known.OWN_RULE})" in places(repository, tip)[-1]


def test_all_that_is_alike_in_keys_of_a_kind_is_no_credential(tmp_path: Path) -> None:
    (tmp_path / "p.key").write_text("".join(PEM))
    (tmp_path / "q.token").write_text("")
    assert known.own_credentials(tmp_path) == [line.strip() for line in PEM[2:-1]]


def test_a_short_value_is_known_only_with_all_that_was_matched(repository: Repository) -> None:
    upstream(repository, {"a.env": b"URL=postgres://app:postgres@db.example.com/x\n"})
    assert places(repository, repository.commit({"b.env": b"postgres://app:postgres@db.example.com/y\n"})) == []
    tip = repository.commit({"b.env": b"postgres://root:postgres@prod.example.com/y\n"})
    assert places(repository, tip) == refused("b.env", 1, tip, "connection-string")


def test_a_name_that_is_old_and_a_value_that_is_new(repository: Repository) -> None:
    upstream(repository, {"a.py": file("api_key =\n", "\n")})
    tip = repository.commit({"a.py": file("api_key =\n", '"Zm9vYmFyYmF6cXV4MTIz4k5j"\n')})
    assert places(repository, tip) == refused("a.py", 101, tip, "generic-api-key")


def test_a_value_that_is_old_in_this_push_and_a_name_that_is_new(repository: Repository) -> None:
    repository.commit({"a.py": file("Zm9vYmFyYmF6cXV4MTIz4k5j\n")})
    tip = repository.commit({"a.py": file('api_key = "Zm9vYmFyYmF6cXV4MTIz4k5j"\n')})
    assert places(repository, tip) == refused("a.py", 101, tip, "generic-api-key")


@pytest.mark.parametrize("missing", [slice(0, 1), slice(30, 40), slice(71, 72), slice(1, 71)])
def test_a_private_key_of_which_a_part_is_new(repository: Repository, missing: slice) -> None:
    part = [*PEM]
    part[missing] = []
    upstream(repository, {"a.pem": file(*part)})
    tip = repository.commit({"a.pem": file(*PEM)})
    assert places(repository, tip) == refused("a.pem", 101, tip, "private-key")


def test_rules_of_the_owner_see_as_much_as_of_a_whole_file(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They may match over more lines than gitleaks' own."""
    seen: list[bytes] = []
    monkeypatch.setattr(leaks, "ETC", tmp_path / "etc")
    (tmp_path / "etc/p.rules.toml").write_text("[extend]\nuseDefault = true\n")
    monkeypatch.setattr(leaks.Gitleaks, "add", lambda _self, _text, content, *_: seen.append(content))
    upstream(repository, {"a.py": file()})
    tip = repository.commit({"a.py": file("new\n")})
    for remote, near in ((SSH, NEAR), (Remote("p", "x", rules=True), FAR)):
        seen.clear()
        places(repository, tip, remote)
        (part,) = (one for one in seen if b"new\n" in one)
        assert near <= part.index(b"new\n") <= near + 2 * len(ROWS[0])


@pytest.mark.parametrize("chunk", [1, 7, 64, 4096])
def test_the_search_reads_objects_in_chunks_and_every_kind_of_them(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(known, "_CHUNK", chunk)
    upstream(repository, {"a.py": file(LEAK), "a-name-that-is-looked-for": b""}, f"a message with {OTHER}")
    repository.git("tag", "-a", "v1", "-m", "the-words-of-a-tag-upstream")
    values = {LEAK.encode(), OTHER.encode(), b"a-name-that-is-looked-for", b"the-words-of-a-tag-upstream", b"line 7 of"}
    assert known.upstream_has(work.Work(), [*values, b"not there"]) == values


def test_a_search_that_takes_too_long_knows_nothing(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream(repository, {"a.py": LEAK.encode()})
    tip = repository.commit({"b.py": f"{LEAK}\n".encode()})
    assert places(repository, tip) == []
    monkeypatch.setattr(known, "SECONDS", 0)
    assert places(repository, tip) == refused("b.py", 1, tip)


def test_findings_have_a_bound(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream(repository, {"a.py": LEAK.encode()})
    monkeypatch.setattr(leaks, "_FOUND", 10_000)
    with pytest.raises(work.TooMuch, match="look like secrets"):
        places(repository, repository.commit({"b.py": f"{LEAK}\n".encode() * 30}))


def test_the_value_is_in_nothing_that_is_shown(repository: Repository) -> None:
    finding = Finding(0, 1, 1, "github-pat", LEAK, LEAK)
    assert LEAK not in repr(finding)
    looked = scan.look(SSH, [repository.commit({"a": LEAK.encode()})], [])
    assert looked.secrets
    assert LEAK not in repr(looked)


def test_a_merge_that_adds_a_secret_of_its_own(repository: Repository) -> None:
    upstream(repository, {"a.py": file()})
    side = repository.commit({"b.py": file()})
    repository.git("checkout", "-q", "--detach", "HEAD~1")
    repository.commit({"c.py": file()})
    repository.git("merge", "-q", "--no-commit", side)
    tip = repository.commit({"b.py": file(f"key = {LEAK}\n")}, "merged")
    assert places(repository, tip) == refused("b.py", 101, tip)


def test_a_tag_of_a_file(repository: Repository) -> None:
    blob = repository.git("hash-object", "-w", "--stdin", stdin=LEAK.encode())
    (line,) = places(repository, blob)
    assert line.startswith(f"the blob {blob[:12]}, line 1")


def test_a_digest_of_go_sum_is_no_secret_and_a_key_of_that_shape_is() -> None:
    """go.dev/ref/mod#go-sum-files: h1: and the SHA-256 of the module in base64."""
    digest = "h1:tsimM75w1tF/uws5rbeHzIWxEqElMehnc+iW793zsZs="
    # github.com/gin-gonic/gin, context_test.go of 9d7c0e9e1a30
    assert not leaks._named('key := "float32-slice"', "float32-slice")
    assert leaks._named('api_key := "float32-slice"', "float32-slice")
    for match, counts in ((f"oauth2 v0.21.0 {digest}", False), (f"api_key = {digest[3:]}", True)):
        assert leaks._named(match, digest[3:]) is counts


def test_the_owner_exempts_exactly_a_value_for_one_upstream(repository: Repository, tmp_path: Path) -> None:
    tip = repository.commit({"a.py": f"key = {LEAK}\nurl = postgres://a:postgres@db.example.com\n".encode()})
    secrets = scan.look(SSH, [tip], []).secrets
    (first,), (second,) = (secret.digests for secret in secrets)
    assert "ask the owner" in " ".join(advice := how_to_remove(work.Work(), secrets, [tip]))
    assert advice[-2:] == [f"- {first}  # a.py, line 1", f"- {second}  # a.py, line 2"]
    assert LEAK not in repr(advice)
    both = replace(SSH, known_findings=(first, second))
    assert len(scan.look(replace(SSH, known_findings=(second,)), [tip], []).secrets) == 1
    assert scan.look(both, [tip], []).secrets == []
    assert len(scan.look(replace(both, upstream="ssh://git@git.example.com/b/p.git"), [tip], []).secrets) == 2
    assert scan.look(both, [repository.commit({"b.py": OTHER.encode()})], []).secrets
    (tmp_path / "etc/p.token").write_text(LEAK)
    assert [secret.digests for secret in scan.look(both, [tip], []).secrets] == [()]


@pytest.mark.parametrize("near", [1, 20, 200, NEAR])
def test_every_run_of_a_new_version_is_old_or_in_a_part(near: int) -> None:
    chosen = random.Random(near)
    for number in range(60):
        dashes = b"-----\n" if number % 3 == 0 else b"--\n"  # around five it is the same for every `near`
        kinds = (b"\n", dashes, b"a\rb\n", b"}\n", b"%d" % chosen.getrandbits(60))
        lines = [chosen.choice(kinds) if chosen.random() < 0.2 else b"%d\n" % chosen.randrange(40) for _ in range(400)]
        old = b"".join(lines)
        for _ in range(chosen.randrange(1, 6)):
            at, other = chosen.randrange(400), chosen.randrange(400)
            how = chosen.randrange(4)
            lines[at : at + (how > 0)] = [b"", b"new\n", b"%d" % at, b"".join(lines[other : other + 60])][how : how + 1]
        new = b"".join(lines)
        parts = added(old, new, near)
        for at in range(0, len(new), 5):
            run = new[at : at + near]
            assert run in old or any(start <= at and at + len(run) <= end for start, end in parts)
            lines = b"".join(new[at : at + FAR].splitlines(keepends=True)[: LINES - 1])
            far = new[at : at + FAR // 4]
            for run in (lines, far if b"-----" in far else b""):
                assert run in old or any(start <= at and at + len(run) <= end for start, end in parts)


def test_a_small_change_of_a_large_file_is_a_small_part() -> None:
    old = "".join(f"{number} and more of it\n" for number in range(20_000)).encode()
    new = old.replace(b"\n777 and", b"\n777 or").replace(b"\n9999 and more", b"\n9999 and less\nand more")
    assert sum(end - start for start, end in added(old, new)) < 5 * NEAR


# A rule that may match over line ends, and longer than NEAR: what bounds it instead.
BOUNDED_OTHERWISE = {
    "private-key": "five dashes", "private-key-begun": "five dashes", "curl-auth-header": "LINES", "curl-auth-user": "LINES",
    # One value, in which no line end may stand, with little before it: it is a line.
    "facebook-page-access-token": "", "flyio-access-token": "", "generic-api-key": "", "jwt": "", "jwt-base64": "",
    "connection-string": "", "kubeconfig-credential": "", "yandex-access-token": "",
    # The value is long, what stands before it is not.
    "docker-config-auth": "", "kubernetes-secret-yaml": "", "netrc-password": "",
    # `\\s*` at one place, as long as somebody likes.
    "freemius-secret-key": "", "nuget-config-password": "",
}  # fmt: skip


def test_no_rule_matches_over_more_lines_than_are_looked_at() -> None:
    """By the rules' own expressions, as Python's parser of them gives their width."""
    ids = set()
    for name in ("gitleaks/gitleaks.toml", "own_rules.toml"):
        for rule in tomllib.loads((RULES / name).read_text())["rules"]:
            text = (
                re.sub(r"(?<=.)\(\?i\)", "", rule.get("regex", ""))
                .replace("[[:alnum:]]", "[a-z]")
                .replace(r"\z", r"\Z")
            )
            parsed = re_parser.parse(text)
            if parsed.getwidth()[1] > NEAR and any(
                part in text for part in (r"\s", r"\S", r"\n", "[^", "(?s", r"\W", r"\D")
            ):
                ids.add(rule["id"])
    assert ids <= set(BOUNDED_OTHERWISE), ids - set(BOUNDED_OTHERWISE)


def test_what_a_submodules_entry_names_is_nobodys_old_version(repository: Repository) -> None:
    """gitformat-index(5): mode 160000 names a commit of another repository; nothing looks at what it is here."""
    upstream(repository, {"b.py": file()})
    hidden = repository.git("hash-object", "-w", "--stdin", stdin=file(f"key = {LEAK}\n"))
    shown = repository.git("hash-object", "-w", "--stdin", stdin=file(f"key = {LEAK}\n") + b"one more\n")
    for mode, name in (("160000", hidden), ("100644", shown)):
        repository.git("rm", "-q", "--cached", "--ignore-unmatch", "a.py")
        repository.git("update-index", "--add", "--cacheinfo", f"{mode},{name},a.py")
        repository.git("commit", "-q", "-m", mode)
    tip = repository.git("rev-parse", "HEAD")
    assert places(repository, tip) == refused("a.py", 101, tip)


def test_a_line_of_what_is_unpacked_is_no_line_of_the_file(repository: Repository) -> None:
    """PKWARE, APPNOTE 4.3: a member may be stored as it is, so that its lines are lines of the archive."""

    def archive(content: bytes) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive_file:
            archive_file.writestr(zipfile.ZipInfo("a"), "a line of the first member, which is stored\n" * 40)
            archive_file.writestr("b", content, zipfile.ZIP_DEFLATED)
        return out.getvalue()

    upstream(repository, {"d.zip": archive(b"harmless\n" * 50)})
    tip = repository.commit({"d.zip": archive(f"key = {LEAK}\n".encode() * 3)})
    assert len(places(repository, tip)) == 1
