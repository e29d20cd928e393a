"""The plan for people: what the agent can reach, and what an `up` would change."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from claude_bottle.host.git_remotes import GateRemote
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.routes import RouteTableFile
from claude_bottle.plan.diff import changes
from claude_bottle.plan.resolved import plan, sha256
from claude_bottle.plan.table import as_json, plans, rows, show
from claude_bottle.policy.errors import NOT_SHOWN, Finding
from claude_bottle.policy.names.git_upstream import Upstream
from claude_bottle.workspace.copies import Copies, SkillCopy, Workspace
from components.secret_digests import digest

VOLUMES = {"home": "claude-bottle-home-s", "mirrors": "claude-bottle-mirrors-s"}


def make(raw: dict[str, Any], copies: Copies | None = None, files: dict[str, str] | None = None) -> dict[str, Any]:
    manifest = Manifest.model_validate(raw)
    images = {
        "agent": "agent:1",
        "egress": "egress:1",
        "pipelock": "pipelock:1",
        "supervise": "supervise:1",
        "git-gate": "g:1",
    }
    remotes = [
        GateRemote(one, Upstream.parse(one.upstream), "secret", one.gitleaks_config or "") for one in manifest.git
    ]
    return plan("s", manifest, RouteTableFile.of(manifest), copies or Copies(), remotes, images, VOLUMES, files)


GIT = {
    "name": "p",
    "upstream": "git@git.example.com:a/p.git",
    "identity_file": "key",
    "known_hosts": "k",
    "branches": ["agent/*"],
}


ONE = {
    "egress": {
        "routes": [
            {"host": "api.anthropic.com", "token_ref": "CLAUDE_CODE_OAUTH_TOKEN"},
            {"host": "api.github.com", "path": ["/repos/a"], "methods": ["GET"], "token_ref": "GH"},
        ]
    },
    "agent": {"apt": ["make"]},
    "env": {"TZ": "x"},
}


def shown(preview: dict[str, Any]) -> str:
    out = io.StringIO()
    assert show(preview, Console(file=out, width=120, highlight=False))
    return out.getvalue()


def step(op: str, **states: Any) -> dict[str, Any]:
    return {"op": op, "urn": "urn:pulumi:s::claude-bottle::claude-bottle:bottle:Bottle::s", **states}


def test_a_person_reads_what_the_agent_can_do() -> None:
    copies = Copies("hi", [SkillCopy("review", "/h/review", "d")], Workspace("/h/p", "copy", True, 3, "d"))
    text = shown({"steps": [step("create", newState={"inputs": {"plan": make(ONE, copies)}})]})
    for words in (
        "api.github.com: GET on /repos/a, with bearer GH",
        "GH at api.github.com; the agent never has it",
        "placeholder for Claude Code",
        "api.anthropic.com: its traffic is not scanned",
        "the prompt",
        "skill review from /h/review",
        "3 files of /h/p, with its .git",
        "apt package make",
        "env: TZ",
        "the bottle is new",
    ):
        assert words in text, words


@pytest.mark.parametrize(
    ("host", "env"),
    [("bedrock-runtime.eu-central-1.amazonaws.com", {}), ("us-east5-aiplatform.googleapis.com", {}),
     ("llm.corp.example.com", {"ANTHROPIC_BASE_URL": "https://llm.corp.example.com"})],
)  # fmt: skip
def test_a_models_gateway_that_is_inspected_says_what_that_means(host: str, env: dict[str, str]) -> None:
    lines = [words for _, words in rows(make({"egress": {"routes": [{"host": host}]}, "env": env}))]
    assert [line for line in lines if line.startswith(f"{host}: ") and "masked, again with every turn" in line]


def test_git_is_told() -> None:
    with_git = make({"git": [GIT]})
    text = shown(
        {"steps": [step("update", oldState={"inputs": {"plan": make({})}}, newState={"inputs": {"plan": with_git}})]}
    )
    url = "git ssh://git@git.example.com/a/p.git"
    for words in ("fetch", "push to agent/*", "with key", "every commit scanned by gitleaks' own rules"):
        assert f"{url}: {words}" in text
        assert f"+ {url}: {words}" in text
    assert f"100 MB a push to {url.removeprefix('git ')}" in text


def test_changes_are_told_in_plain_words() -> None:
    two = {**ONE, "egress": {"routes": [ONE["egress"]["routes"][0], {"host": "new.example.com"}]}, "prompt": "x"}  # type: ignore[index]
    lines = list(changes(make(ONE), make(two, Copies("x\n"))))
    assert lines[0].startswith("- the agent loses api.github.com: GET on /repos/a")
    assert lines[1].startswith("+ the agent gains new.example.com: every method on every path")
    assert any(line.startswith("~ prompt: new (sha256 ") for line in lines)
    assert list(changes(make(ONE), make(ONE))) == []


def routes(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"egress": {"routes": list(entries)}, **more}


A, B = {"host": "a.example.com"}, {"host": "b.example.com"}
LATER, PAST = "2999-01-01T00:00:00Z", "2020-01-01T00:00:00Z"
LONG = [f"a-long-name-of-a-branch-{number}/*" for number in range(9)]


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        # A token goes to another host; another token goes to the same.
        (routes({**A, "token_ref": "READ"}, {**B, "token_ref": "ADMIN"}), routes({**A, "token_ref": "ADMIN"}, {**B, "token_ref": "READ"}),
         ["- no longer: a.example.com: every method on every path, with bearer READ; it stays reachable",
          "- no longer: b.example.com: every method on every path, with bearer ADMIN; it stays reachable",
          "+ the agent gains a.example.com: every method on every path, with bearer ADMIN",
          "+ the agent gains b.example.com: every method on every path, with bearer READ"]),
        # The end of an allowed host, of a route.
        ({"pipelock": {"allow": [{**A, "until": LATER}]}}, {"pipelock": {"allow": [A]}},
         [f"+ the agent gains a.example.com: any method on every path, any request at all, because there is no egress, without an end (so far, until {LATER})"]),
        (routes({**A, "until": LATER}), routes(A),
         [f"+ the agent gains a.example.com: every method on every path, without a credential, without an end (so far, until {LATER})"]),
        # The kind of a bottle.
        (routes(A, pipelock={"allow": ["b.example.com"]}), {"pipelock": {"allow": ["b.example.com"]}},
         ["+ the agent gains b.example.com: any method on every path, any request at all, because there is no egress", "~ egress: requests of the agent go straight to pipelock from now on"]),
        (routes(A, pipelock={"allow": ["b.example.com"]}), routes(pipelock={"allow": ["b.example.com"]}),
         ["- the agent loses a.example.com: every method on every path, without a credential"]),
        # A narrower rule goes: the wider one's rights are there.
        (routes(A, {**A, "path": ["/x"], "methods": ["GET"]}), routes(A),
         ["+ the agent gains a.example.com: HEAD, POST, PUT, PATCH, DELETE, OPTIONS on /x, without a credential"]),
        (routes({"host": "*.example.com"}, {**A, "methods": ["GET"]}), routes({"host": "*.example.com"}),
         ["+ the agent gains a.example.com: HEAD, POST, PUT, PATCH, DELETE, OPTIONS on every path, without a credential"]),
        # What weakens.
        (routes({"host": "*.example.com"}), routes({"host": "*.example.com"}, pipelock={"passthrough": ["x.a.example.com"]}),
         ["+ x.a.example.com: its traffic is not scanned for secrets"]),
        (routes(A), routes(A, pipelock={"allow_private_addresses": ["a.example.com"]}), ["+ a.example.com: may be an internal address"]),
        ({}, {"pipelock": {"dlp": {"disabled_rules": ["generic-api-key"]}}}, ["+ does not apply the rule generic-api-key"]),
        ({}, {"pipelock": {"dlp": {"hosts": {"a.example.com": {"disabled_rules": ["jwt"]}}}}},
         ["+ a.example.com: the rule jwt does not apply"]),
        ({"pipelock": {"dlp": {"packs": ["payment"]}}}, {"pipelock": {"dlp": {"packs": []}}},
         ["+ no longer required: applies the pack payment"]),
        ({}, {"pipelock": {"dlp": {"seed_phrases": False}}}, ["+ no longer required: detects seed phrases"]),
        ({}, {"pipelock": {"dlp": {"max_body_mb": 1}}}, ["+ 1 MB, above which a body is scanned as a stream (so far 20)"]),
        ({"pipelock": {"dlp": {"patterns": [{"name": "t", "regex": "tkt_[a-z]{8}"}]}}}, {"pipelock": {"dlp": {"patterns": [{"name": "t", "regex": "tkt_[a-z]{80}"}]}}},
         [f"+ no longer required: detects your pattern t (sha256 {sha256('tkt_[a-z]{8}')[:16]})",
          f"- required from now on: detects your pattern t (sha256 {sha256('tkt_[a-z]{80}')[:16]})"]),
        ({"network": {"external": "one"}}, {"network": {"external": "two"}}, ["+ outside access by the Docker network two", "- outside access by the Docker network one"]),
        ({"agent": {"runtime": "runsc"}}, {}, ["+ no longer required: runs in runsc"]),
        ({}, {"agent": {"command": ["sh", "-c", "x" * 90]}}, [f'~ agent.command: the image\'s own → ["sh", "-c", "{"x" * 90}"]']),
        # git, in full.
        ({"git": [GIT]}, {"git": [{**GIT, "branches": LONG, "allow_force_push": True, "allow_deletions": True}]},
         [f"+ git ssh://git@git.example.com/a/p.git: push to {branch}" for branch in LONG]),
        ({"git": [GIT]}, {"git": [{**GIT, "upstream": "ssh://git@git.example.com/b/p.git"}]},
         ["+ git ssh://git@git.example.com/b/p.git: fetch", "- git ssh://git@git.example.com/a/p.git: fetch"]),
        ({"git": [GIT]}, {"git": [{**GIT, "known_hosts": "other"}]},
         [f"+ git ssh://git@git.example.com/a/p.git: to a host with your known_hosts (sha256 {sha256('other')[:16]})"]),
        ({"git": [{**GIT, "require_review": True}]}, {"git": [GIT]}, ["+ no longer required: git ssh://git@git.example.com/a/p.git: each push waits for your review"]),
        ({"git": [GIT]}, {"git": [{**GIT, "gitleaks_config": "own.toml"}]}, [f"+ git ssh://git@git.example.com/a/p.git: every commit scanned by your rules (sha256 {sha256('own.toml')[:16]})"]),
    ],
)  # fmt: skip
def test_a_gain_is_never_hidden(old: dict[str, Any], new: dict[str, Any], lines: list[str]) -> None:
    output = list(changes(make(old), make(new)))
    assert [line for line in lines if line not in output] == [], output
    assert sorted(rows(make(old))) != sorted(rows(make(new)))


def test_an_order_and_a_spelling_are_told_though_they_give_nothing() -> None:
    """What an `up` would do is never told as nothing."""

    def difference(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
        return list(changes(make(old), make(new)))

    first, other = ({"pipelock": {"ca_files": names}} for names in (["a.pem", "b.pem"], ["b.pem", "a.pem"]))
    assert difference(first, other) == ["~ pipelock.ca_files: the same in another order"]
    assert difference(routes(A, B), routes(B, A)) == ["~ egress.routes: the same in another order"]
    assert difference({"agent": {"memory": "1g"}}, {"agent": {"memory": "1024m"}}) == ["~ agent.memory: 1g → 1024m"]


def test_what_is_in_files_counts() -> None:
    """Roots and lists of revocations, by their content."""
    for key, plus in (
        ("ca_files", "+ servers with a certificate"),
        ("crl_files", "+ no longer required: refuses the"),
    ):
        raw = {"pipelock": {key: ["f.pem"]}}
        lines = list(changes(make(raw, files={"f.pem": "one"}), make(raw, files={"f.pem": "two"})))
        assert [line[:1] for line in lines if sha256("one")[:16] in line or sha256("two")[:16] in line] != []
        assert any(line.startswith(plus) for line in lines), lines


def test_the_table_promises_what_passes_and_no_more() -> None:
    lines = dict.fromkeys(
        f"{heading}: {text}"
        for heading, text in rows(
            make(
                routes(
                    {**A, "until": PAST},
                    {"host": "*.example.com", "methods": ["GET"]},
                    {"host": "*.example.com", "path": ["/x"], "methods": ["POST"]},
                    pipelock={"allow": ["c.example.org"]},
                )
            )
        )
    )
    but = "*.example.com (but not a.example.com)"
    assert f"can reach: {but}: GET on every path that servers read alike (but not /x), without a credential" in lines
    assert f"can reach: {but}: POST on /x, without a credential" in lines
    assert not [line for line in lines if line.startswith(("can reach: a.", "can reach: c."))]
    assert [line.partition(":")[0] for line in lines if "a.example.com: " in line] == ["ended"]
    assert [line.partition(":")[0] for line in lines if "c.example.org" in line] == ["no route"]
    bare = [
        text for _, text in rows(make({"pipelock": {"allow": ["a.example.com"], "passthrough": ["a.example.com"]}}))
    ]
    assert bare[0].endswith("any method on every path, any request at all, because there is no egress, a git push too")


def test_a_plan_of_an_older_version_is_compared_as_far_as_it_goes() -> None:
    new = make({**ONE, "pipelock": {"dlp": {"patterns": [{"name": "t", "regex": "tkt_[a-z]{8}"}]}}, "git": [GIT]})
    slots = {ref: slot for slot, ref in new["egress"]["token_slots"].items()}
    old_routes = [
        {**{k: v for k, v in r.items() if k != "token_ref"}, "token_slot": slots.get(r["token_ref"])}
        for r in new["egress"]["routes"]
    ]
    pipelock = {key: value for key, value in new["pipelock"].items() if key not in ("allow", "seed_phrases_wanted")}
    (remote,) = new["git_remotes"]
    old = {
        **new, "schema": 1, "agent": {**new["agent"], "env": list(new["agent"]["env"])},
        "egress": {**new["egress"], "routes": old_routes[:1]}, "pipelock": {**pipelock, "dlp_patterns": ["t"]},
        "git_remotes": [{key: value for key, value in remote.items() if not key.endswith("_sha256")}],
    }  # fmt: skip
    lines = list(changes(old, new))
    assert lines[0].startswith("~ the plan of the running bottle is an older one")
    assert "+ the agent gains api.github.com: GET on /repos/a, with bearer GH" in lines
    assert [line[0] for line in lines].count("+") == 1, lines
    for broken in ({}, {"schema": 3}, {"schema": 1}, {**old, "egress": None}, {**new, "pipelock": {"x": "\x1b"}}):
        assert any("of another version" in line for line in changes(broken, new)), broken
    assert list(changes(new, {**new, "own": {"key": ["all", "of it"]}})) == ['~ own: null → {"key": ["all", "of it"]}']


def test_another_value_of_a_secret_is_told_and_not_shown() -> None:
    urn = "urn:pulumi:s::claude-bottle::claude-bottle:bottle:Bottle$claude-bottle:secrets:SecretDigests::s-secrets"
    one, two = (digest("key", "GH", value) for value in ("a-first-value", "a-second-value"))
    other = digest("key", "B", "a-first-value")
    states = [{"inputs": {"digests": {"GH": value, "B": other, "C": "04da6b54-unknown"}}} for value in (one, two)]
    plan_ = make(ONE)
    unchanged = step("update", oldState={"inputs": {"plan": plan_}}, newState={"inputs": {"plan": plan_}})
    text = shown({"steps": [unchanged, {"op": "update", "urn": urn, "oldState": states[0], "newState": states[1]}]})
    assert "~ the secret GH has another value than the one in use" in text
    assert "secret B" not in text
    assert one not in text
    assert "would change nothing" in shown(
        {"steps": [unchanged, {"op": "same", "urn": urn, "oldState": states[0], "newState": states[0]}]}
    )
    assert len({one, two, other, digest("other key", "GH", "a-first-value")}) == 4


def test_nothing_in_a_plan_draws_on_the_terminal() -> None:
    evil = "x\x1b[2J\u202e\n+ the agent gains nothing"
    plan_ = make({**ONE, "agent": {"command": ["a\nb"]}})
    drawn = {
        **plan_, "stack": evil, "agent": {**plan_["agent"], "command": [evil], "image": evil, "home_volume": evil},
        "network": {"outside": evil}, "prompt_sha256": evil, "more": {evil: evil},
    }  # fmt: skip
    steps = [step("update", oldState={"inputs": {"plan": plan_}}, newState={"inputs": {"plan": drawn}})]
    text = shown({"steps": steps, "diagnostics": [{"message": f"drift: {evil}"}]})
    for preview in (text, str(Finding(evil, NOT_SHOWN, evil))):
        assert not {"\x1b", "\u202e"} & set(preview)
    assert not [line for line in text.splitlines() if line.startswith("+ the agent gains nothing")]


def test_an_unchanged_bottle_is_read_from_its_outputs() -> None:
    root = {"op": "same", "urn": "urn:pulumi:s::claude-bottle::pulumi:pulumi:Stack::claude-bottle-s"}
    preview = {"steps": [{**root, "oldState": {"outputs": {"plan": make({})}}, "newState": {}}]}
    assert "would change nothing" in shown(preview)
    assert "nothing outside" in shown(preview)
    assert plans({"steps": []}) == (None, None)


def test_what_stops_a_preview_is_shown() -> None:
    out = io.StringIO()
    preview = {"steps": [], "diagnostics": [{"message": "2 problems found"}]}
    assert not show(preview, Console(file=out, width=100))
    assert "2 problems" in out.getvalue()


def test_what_was_changed_by_hand_is_told() -> None:
    plan_ = make(ONE)
    step = {"urn": "urn:pulumi:s::claude-bottle::claude-bottle:bottle:Bottle::s", "op": "update"}
    state = {"inputs": {"plan": plan_}}
    diagnostic = {"severity": "warning", "message": "<{%reset%}>drift: egress has other routes<{%reset%}>\n"}
    preview = {
        "steps": [{**step, "oldState": state, "newState": state}],
        "diagnostics": [diagnostic, {"message": "else"}],
    }
    assert shown(preview).splitlines()[-1] == "changed by hand, and corrected by pulumi up: egress has other routes"


def test_placeholders_own_credentials_and_exempt_networks_are_shown() -> None:
    route = {"host": "api.github.com", "token_ref": "GH", "placeholder": "GH_TOKEN", "own_credentials": "pass"}
    raw = {"egress": {"routes": [route]}, "pipelock": {"internal_exempt": ["198.18.0.0/15"]}}
    texts = [text for _, text in rows(make(raw))]
    assert "GH_TOKEN: a placeholder in the agent's environment, for GH at api.github.com" in texts
    assert any("with bearer GH, may send a credential of its own instead" in text for text in texts)
    assert "every host: may resolve to 198.18.0.0/15, but not to the bottle's own networks" in texts
    plain = {"egress": {"routes": [{"host": "api.github.com", "token_ref": "GH"}]}}
    gained = [line for line in changes(make(plain), make(raw)) if line.startswith("+")]
    assert len(gained) == 3
    narrower = {**raw, "pipelock": {"internal_exempt": ["198.18.0.0/16"]}}
    assert not [line for line in changes(make(raw), make(narrower)) if line.startswith("+")]


SKILL, COPY = SkillCopy("review", "/s/review", "a" * 64), Workspace("/w", "copy", files=3, digest="a" * 64)
OTHER = SkillCopy("review", "/s/review", "b" * 64)


@pytest.mark.parametrize(
    ("was", "now", "wanted"),
    [
        (Copies(skills=[SKILL]), Copies(skills=[OTHER]),
         [f"~ skill review: other contents (sha256 {'a' * 16} → {'b' * 16})"]),
        (Copies(), Copies(skills=[SKILL]), ["+ skill review from /s/review"]),
        (Copies(), Copies(workspace=COPY), ["+ workspace: a copy of /w"]),
        (Copies(workspace=COPY), Copies(workspace=Workspace("/w", "copy", files=4, digest="b" * 64)),
         ["~ workspace: its contents differ from those that were copied in; up copies what the agent has not changed"]),
        (Copies(workspace=COPY), Copies(), ["- workspace: a copy of /w"]),
        (Copies(workspace=COPY), Copies(workspace=Workspace("/w", "mount")),
         ["- workspace: a copy of /w", "+ workspace: /w, which the agent can write to"]),
    ],
)  # fmt: skip
def test_what_is_copied_in_is_told_in_words(was: Copies, now: Copies, wanted: list[str]) -> None:
    assert list(changes(make({}, was), make({}, now))) == wanted


def _routes(*given: dict[str, Any]) -> dict[str, Any]:
    return {"egress": {"routes": [{"host": "a.example.com", **one} for one in given]}}


ALLOW = {"pipelock": {"allow": ["a.example.com"]}}


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (_routes({}), _routes({"token_ref": "T"})),
        (_routes({"token_ref": "T"}), _routes({"token_ref": "U"})),
        (ALLOW, {**ALLOW, **_routes({})}),
    ],
)
def test_a_host_that_stays_reachable_is_not_lost(was: dict[str, Any], now: dict[str, Any]) -> None:
    lines = list(changes(make(was), make(now)))
    assert all("any other method" in line for line in lines if "loses" in line), lines
    assert any(line.startswith("- no longer: a.example.com: every method") and "stays" in line for line in lines), lines


def test_no_raw_value_and_no_inner_name_is_told() -> None:
    """Much of a manifest, put in and taken out."""
    raw = {**_routes({"token_ref": "T"}), "git": [GIT], "env": {"A": "b"}}
    raw |= {"agent": {"apt": ["make"], "command": ["x"], "memory": "3g"}}
    for pair in ((make({}), make(raw)), (make(raw), make({}))):
        for line in changes(*pair):
            assert not any(word in line for word in ("{", "EGRESS_TOKEN_", "sha256:", "null", "_egress.local")), line


def test_what_an_up_interrupts_is_told() -> None:
    kind, anew = "docker:index/container:Container", make({"env": {"A": "b"}})
    start = "urn:pulumi:s::claude-bottle::x:Bottle$x"
    steps = [
        step("update", newState={"inputs": {"plan": anew}}, oldState={"inputs": {"plan": make({})}}),
        {"op": "replace", "urn": f"{start}:Agent${kind}::s-agent-container"},
        {"op": "replace", "urn": f"{start}:Egress${kind}::s-egress-container"},
        {"op": "update", "urn": f"{start}:Pipelock${kind}::s-pipelock-container"},
        {"op": "replace", "urn": f"{start}$command:local:Command::s-provision-ca"},
    ]
    text = " ".join(shown({"steps": steps}).split())
    assert "! agent: a new container; its processes and sessions end" in text
    assert "! egress: a new container; open requests through it end, and for some seconds no request passes" in text
    assert "pipelock: a new container" not in text
    output = as_json({"steps": steps})
    assert output is not None
    assert len(output["interrupts"]) == 2
