"""Each part broken in each way: nothing leaves that should not, and it comes back where that is safe."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import arena as module
import pytest
import world

from toolchain.dev_packages import find_fake_clock

pytestmark = [pytest.mark.docker, pytest.mark.slow]

# What may still pass while a part is broken: nothing, or what its last good policy lets through.
NOTHING, LAST_GOOD = "nothing", "last good"


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[module.Arena]:
    with module.arena(tmp_path_factory.mktemp("project")) as arena:
        yield arena


def name(arena: module.Arena, role: str) -> str:
    return f"claude-bottle-{role}-{arena.bottle.name}"


def root(arena: module.Arena, role: str, script: str) -> str:
    """Root has no capability in there: it may do what the owner of a file may, where root is that owner."""
    return world.docker("exec", "-u", "0", name(arena, role), "sh", "-c", script, check=False)


def own(arena: module.Arena, role: str, script: str) -> str:
    """As the user that the part itself runs as."""
    return world.docker("exec", name(arena, role), "sh", "-c", script, check=False)


def restart(arena: module.Arena, role: str) -> None:
    """Until it answers again, whatever it answers."""
    world.docker("restart", "-t", "1", name(arena, role))
    for _ in range(900):
        if world.docker("inspect", "-f", "{{.State.Health.Status}}", name(arena, role)).strip() == "healthy":
            return
        time.sleep(0.2)


COUNT = iter(range(10_000))


def trials(arena: module.Arena) -> dict[str, tuple[str, str]]:
    """What is tried while something is broken: name to (word, curl arguments)."""
    number = next(COUNT)

    def word(kind: str) -> str:
        return f"canary{arena.run}{number:04d}{kind}"

    secret = "ghp_" + (word("s") + "Qw3rTy7uIoP9aSdFgH2jKlZxCvB")[:36]
    return {
        "allowed": (word("a"), f"https://declared.example.com/open/{word('a')}"),
        "token": (word("t"), f"https://keyed.example.com/a/{word('t')}"),
        "undeclared": (word("u"), f"https://undeclared.example.com/{word('u')}"),
        "path": (word("p"), f"https://declared.example.com/closed/{word('p')}"),
        "secret": (word("s"), f"-d {secret} https://declared.example.com/open/x"),
        "direct": (word("d"), f"--noproxy '*' http://{arena.facts['sink']}/{word('d')}"),
    }


def attempt(arena: module.Arena) -> tuple[set[str], dict[str, str]]:
    """Which trials arrived outside, and what the agent saw."""
    tried = trials(arena)
    script = "\n".join(
        f"curl -sk -m 4 -w ' %{{http_code}}' {argv} > /tmp/t-{key} 2>&1 &" for key, (_, argv) in tried.items()
    )
    arena.bottle.agent(f"{script}\nwait", timeout=60)
    seen = {key: arena.bottle.agent(f"cat /tmp/t-{key}") for key in tried}
    arrived = "\n".join(line["data"] for line in arena.arrived()).lower()
    return {key for key, (word, _) in tried.items() if word in arrived}, seen


def back(arena: module.Arena, seconds: float = 240) -> None:
    """Wait until what is allowed passes again, and nothing else does."""
    until = time.monotonic() + seconds
    arrived: set[str] = set()
    while time.monotonic() < until:
        arrived, _ = attempt(arena)
        if {"allowed", "token"} <= arrived:
            break
        time.sleep(0.5)
    assert arrived == {"allowed", "token"}


def judge(arena: module.Arena, may_pass: str) -> dict[str, str]:
    arrived, seen = attempt(arena)
    assert arrived <= ({"allowed", "token"} if may_pass == LAST_GOOD else set()), (arrived, seen)
    for text in seen.values():
        assert not [form for form in module.token_forms() if form in text.encode("latin-1", "replace")]
    return seen


def test_all_is_well_before(arena: module.Arena) -> None:
    back(arena)


@pytest.mark.parametrize("role", ["egress", "pipelock", "git-gate", "supervise"])
def test_a_crash_comes_back_by_itself(arena: module.Arena, role: str) -> None:
    before = arena.bottle.container_id(role)
    everything = "for p in /proc/[0-9]*; do n=${p#/proc/}; [ $n != 1 ] && [ $n != $$ ] && kill -9 $n; done 2>/dev/null"
    own(arena, role, everything)
    for _ in range(600):
        if arena.bottle.container_id(role) != before:
            break
        time.sleep(0.2)
    assert arena.bottle.container_id(role) != before, "it did not start again"
    back(arena)


@pytest.mark.parametrize("role", ["egress", "pipelock"])
@pytest.mark.parametrize("how", ["stop", "pause"])
def test_a_part_that_is_gone_or_hangs(arena: module.Arena, role: str, how: str) -> None:
    world.docker(how, name(arena, role))
    try:
        judge(arena, NOTHING)
    finally:
        world.docker("start" if how == "stop" else "unpause", name(arena, role))
    back(arena)


@pytest.mark.parametrize("role", ["egress", "pipelock"])
def test_out_of_memory(arena: module.Arena, role: str) -> None:
    """The kernel ends something in the container; whatever it is, the policy holds."""
    eat = "python3 -c \"x = [bytearray(64 << 20) for _ in range(12)]; [b.__setitem__(slice(None, None, 4096), b'1' * len(b[::4096])) for b in x]\""
    own(arena, role, eat)
    arrived, _ = attempt(arena)
    assert arrived <= {"allowed", "token"}
    back(arena)


FILES = {"egress": "/etc/claude-bottle/routes.json", "pipelock": "/etc/pipelock/pipelock.yaml"}
BREAK = {
    "truncated": "head -c 40 {file} > /tmp/x; cat /tmp/x > {file}",
    "empty": ": > {file}",
    "garbage": "head -c 300 /dev/urandom > {file}",
    "missing": "rm {file}",
    "link": "mv {file} /tmp/real; echo > /tmp/other; ln -s /tmp/other {file}",
    "weaker": 'sed -i \'s/strict/audit/; s/"version": 1/"version": 2/\' {file}',
    "folder": "rm {file}; mkdir {file}",
    "pipe": "rm {file}; mkfifo {file}",
}


@pytest.mark.parametrize("role", ["egress", "pipelock"])
@pytest.mark.parametrize("how", list(BREAK))
def test_a_bad_policy_never_replaces_a_good_one(arena: module.Arena, role: str, how: str) -> None:
    """While it runs, the last good one stays; started anew with the bad one, it denies all; the next push mends it."""
    file = FILES[role]
    root(arena, role, f"cp {file} /var/good; " + BREAK[how].format(file=file))
    try:
        time.sleep(1)
        judge(arena, LAST_GOOD)
        restart(arena, role)
        seen = judge(arena, NOTHING)
        host = "_egress.local" if role == "egress" else "_pipelock.local"
        port = 8080 if role == "egress" else 8888
        ask = f"import urllib.request as u; print(u.build_opener(u.ProxyHandler({{'http': 'http://127.0.0.1:{port}'}})).open('http://{host}/health').read().decode())"
        health = world.docker("exec", name(arena, role), "/opt/proxy/bin/python", "-c", ask)
        assert json.loads(health)["status"] == "denying"
        assert json.loads(health)["error"]
        assert "403" in seen["allowed"] or "502" in seen["allowed"], seen
        assert any(role in word for word in (seen["allowed"], json.dumps(arena.bottle.decisions(role)[-3:])))
    finally:
        root(arena, role, f"rm -rf {file}; cp /var/good {file}; chmod 644 {file}")
    back(arena)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"EGRESS_TOKEN_0": ""}', '{"EGRESS_TOKEN_9": "another-token-value"}'])
def test_without_its_tokens_egress_sends_nothing_to_where_one_belongs(arena: module.Arena, text: str) -> None:
    file, kept = "/etc/claude-bottle/tokens.json", "/run/claude-bottle/kept"  # /tmp does not outlive a restart
    own(arena, "egress", f"cp -p {file} {kept}; chmod 600 {file}; printf '%s' '{text}' > {file}")
    restart(arena, "egress")
    arrived, seen = attempt(arena)
    own(arena, "egress", f"cat {kept} > {file}; rm -f {kept}; chmod 400 {file}")
    restart(arena, "egress")
    back(arena)
    assert arrived <= {"allowed"}
    assert "token_missing" in seen["token"]


@pytest.mark.parametrize("host", ["expired", "wronghost", "selfsigned", "otherca", "revoked"])
def test_an_upstream_that_cannot_prove_who_it_is_gets_nothing(arena: module.Arena, host: str) -> None:
    word = f"canary{arena.run}cert{host}"
    status, body = arena.bottle.curl("-k", f"https://{host}.wild.example.com/{word}")
    assert status == 502, body
    assert "upstream_not_trusted" in body, body  # it was reached, and not taken for what it is not
    assert word not in "\n".join(line["data"] for line in arena.arrived())


def test_pipelocks_own_certificate_is_checked_by_egress(arena: module.Arena) -> None:
    """Somebody in pipelock's place with another CA: egress gives it neither request nor token."""
    pipelock, files = name(arena, "pipelock"), ("ca.pem", "ca-key.pem")
    kept = {file: world.docker("exec", pipelock, "cat", f"/etc/pipelock/{file}").encode() for file in files}
    ca = world._certificate("a stranger")
    strange = {"ca.pem": world._pem(ca[0]), "ca-key.pem": world._key_pem(ca[1])}
    for pair, may_pass in ((strange, NOTHING), (kept, LAST_GOOD)):
        for file, data in pair.items():
            put = f"chmod 600 /etc/pipelock/{file}; cat > /etc/pipelock/{file}"
            world.docker("exec", "-i", pipelock, "sh", "-c", put, stdin=data)
        restart(arena, "pipelock")
        judge(arena, may_pass)
    back(arena)


@pytest.mark.parametrize("role", ["egress", "pipelock"])
@pytest.mark.parametrize("years", [-10, 10])
def test_a_wrong_clock(arena: module.Arena, role: str, years: int) -> None:
    """No certificate is valid then, so nothing goes out; with the clock right again it passes."""
    library, part = find_fake_clock(), name(arena, role)
    assert library, "make test installs libfaketime"
    world.docker("cp", str(library), f"{part}:/var/clock.so")
    world.docker("exec", "-i", "-u", "0", part, "sh", "-c", "cat > /etc/faketimerc", stdin=f"{years:+}y".encode())
    world.docker("exec", "-i", "-u", "0", part, "sh", "-c", "cat > /etc/ld.so.preload", stdin=b"/var/clock.so")
    try:
        world.docker("restart", "-t", "1", part)
        time.sleep(3)  # its health may well be bad: that is no answer to wait for
        year = world.docker("exec", part, "date", "+%Y").strip()
        assert abs(int(year) - time.gmtime().tm_year) >= 9, year
        judge(arena, NOTHING)
    finally:
        world.docker("exec", "-u", "0", part, "sh", "-c", ": > /etc/ld.so.preload")
        restart(arena, role)
    back(arena)


def test_the_owner_sees_why(arena: module.Arena) -> None:
    """A part that was broken has said so in its log, in the form that the dashboard shows."""
    said: list[dict[str, Any]] = [d for d in arena.bottle.decisions("egress") if d.get("event") == "policy"]
    assert {d["outcome"] for d in said} >= {"live", "refused"}
    assert all(d["error"] for d in said if d["outcome"] != "live")
