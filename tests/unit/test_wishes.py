"""What the agent asks for: made of its refusal, answered in words where no approval would help, and told truly."""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from asked import FILE, ROUTE

from claude_bottle.approvals.edit.outcome import notes, why_refused
from claude_bottle.approvals.edit.route_edit import named
from claude_bottle.approvals.edit.stack_file import bottle_of, changed
from claude_bottle.approvals.owner_input import gain
from claude_bottle.manifest.change import Change, ChangeError
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.no_approval import instead
from claude_bottle.policy.proposals import APPROVED, PENDING, STILL_REFUSED, Proposal
from claude_bottle.policy.refusal import Refusal
from sidecar_images.supervise.answers import answer
from sidecar_images.supervise.wishes import WishError, capability_wish, host_wish, route_wish

ROOT = Path(__file__).parents[2]
REFUSED = {
    "method": "POST",
    "host": "api.github.com",
    "path": "/repos/acme/project/issues",
    "reason": "method_not_declared",
}
MERGE = {**REFUSED, "method": "PUT", "path": "/repos/acme/project/pulls/1/merge", "reason": "forge_write"}
OWNERS = """config:
  claude-bottle:bottle:
    egress:
      routes:
        # the project
        - host: api.github.com
          path: [/repos/acme/project]   # and no other
          methods: [GET]   # reading
          token_ref: "GITHUB_TOKEN"
        - host: "*.example.com"
          until: 2999-01-01T00:00:00Z
"""


def value(request: dict[str, str], **fields: Any) -> dict[str, Any]:
    asked = {"host": "", "path": None, "methods": None, "forge": None, **fields}
    return dict(route_wish(request, **asked)["value"])


def test_a_route_is_made_of_the_refusal() -> None:
    assert value(REFUSED) == {
        "host": "api.github.com", "path": ["/repos/acme/project/issues"], "methods": ["POST"], "description": "asked for by the agent",
    }  # fmt: skip
    assert value({**REFUSED, "method": "GET"})["methods"] == ["GET", "HEAD"]
    assert value({}, host="a.example.com")["path"] == []
    cut = value({**REFUSED, "host": "a.example.com", "path": "/" + "a" * 100 + "/" + "b" * 198})
    assert cut["path"] == ["/" + "a" * 100]  # a refusal tells 300 letters of a path


def test_a_refused_call_to_a_forge_names_the_capability() -> None:
    assert value(MERGE)["forge"] == ["merge"]
    assert value({**MERGE, "path": "/graphql", "method": "POST", "forge": "code"})["forge"] == ["code"]
    assert "forge" not in value(REFUSED)
    with pytest.raises(WishError, match="name the capability"):
        value({**REFUSED, "reason": "forge_write"})  # it was in the body: the head does not tell
    with pytest.raises(WishError, match=r"forge: \[merge\]"):
        value({**MERGE, "reason": "host_not_declared"})
    body = json.loads(Refusal("egress", "forge_write", "m", forge="merge").body(method="PUT", host="h.x", path="/"))
    assert body["forge"] == "merge"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"methods": ["GET"]}, "POST is not declared for this path"),
        ({"path": ["/repos/acme/other"]}, "not among the declared ones"),
        ({"host": "a.example.com"}, "the refused request went to api.github.com"),
    ],
)
def test_a_route_that_would_not_let_the_refused_request_through_is_not_asked_for(
    fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(WishError, match=words):
        value(REFUSED, **fields)


@pytest.mark.parametrize(
    ("reason", "words"),
    [("ambiguous_request", "remove that header"), ("too_large", "smaller parts"), ("ssrf_private_ip", "pipelock.allow_private_addresses"),
     ("git_push", "git-gate"), ("dlp_match", "cannot be allowed once"), ("unresolvable", "spelling")],
)  # fmt: skip
def test_what_no_approval_lets_through_says_so_at_the_refusal_and_when_asked(reason: str, words: str) -> None:
    body = json.loads(Refusal("pipelock", reason, "m").body(method="GET", host="a.example.com", path="/"))
    assert words in body["no_approval"]
    assert "ask_with" not in body
    for ask in (lambda r: value(r), lambda r: host_wish(r, "", "", has_egress=False)):
        with pytest.raises(WishError, match=words):
            ask({**REFUSED, "reason": reason})


def test_what_an_approval_lets_through_names_the_tool() -> None:
    for reason in ("host_not_declared", "path_not_declared", "method_not_declared", "forge_write"):
        body = json.loads(Refusal("egress", reason, "m").body(method="GET", host="a.example.com", path="/"))
        assert body["ask_with"]["tool"] == "egress-block"
        assert "no_approval" not in body
    digest = "sha256:" + "a" * 64
    held = json.loads(Refusal("pipelock", "dlp_match", "m", content=digest).body(method="GET", host="h.x", path="/"))
    assert held["ask_with"]["tool"] == "pipelock-block"
    request = {**REFUSED, "reason": "dlp_match", "content": digest}
    assert host_wish(request, "", "", has_egress=True) == {"path": "pipelock.once", "value": digest}


def test_every_reason_of_a_proxy_is_known() -> None:
    """A reason that is added has to say whether an approval helps."""
    asked = {
        "host_not_declared",
        "path_not_declared",
        "method_not_declared",
        "forge_write",
        "domain_not_allowed",
        "dlp_match",
    }
    never_told = {"token_in_response", "passthrough_ended"}  # of an answer, and of a tunnel that is cut
    pattern = re.compile(r'(?:[Rr]efus(?:al|e)|Unscannable)\(\s*(?:"(?:egress|pipelock)",\s*)?"([a-z]+(?:_[a-z]+)+)"')
    reasons = {reason for file in (ROOT / "addons").rglob("*.py") for reason in pattern.findall(file.read_text())}
    assert len(reasons) > 25
    assert {reason for reason in reasons if not instead(reason)} <= asked | never_told


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("disk", "8g"), "capability: write one of apt, npm, memory, cpus, push"),
        (("", ""), "capability: write one of"),
        (("apt", ""), "value is required: the name of a Debian package"),
        (("cpus", "two"), "value: a number of cores"),
    ],
)
def test_what_a_capability_needs_is_named(asked: tuple[str, str], words: str) -> None:
    with pytest.raises(WishError, match=re.escape(words)):
        capability_wish(*asked)


def test_capabilities_are_changes() -> None:
    for asked, path, value in (
        (("apt", "jq"), "agent.apt", "jq"),
        (("cpus", "4"), "agent.cpus", 4.0),
        (("push", "sha256:" + "a" * 64), "git.review", "sha256:" + "a" * 64),
    ):
        wish = capability_wish(*asked)
        assert wish == {"path": path, "value": value}
        assert Change.read(wish).path == path


def test_a_wish_without_a_host_says_what_to_give() -> None:
    for ask in (lambda: value({}), lambda: host_wish({}, "", "", has_egress=False)):
        with pytest.raises(WishError, match=r"give refused \(the JSON body of the refusal\) or host"):
            ask()


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ({"host": "api.github.com:443"}, "host: 'api.github.com:443': a host name has no port, because http (80) and https (443) set it; write api.github.com"),
        ({"host": "https://api.github.com/x"}, "host: 'https://api.github.com/x': a URL is not a host name; write api.github.com, and path: [/x] to allow only that path"),
        ({"host": "a.example.com", "path": "/x"}, "path: '/x': write a list: [/repos/acme]"),
        ({"host": "a.example.com", "methods": ["FETCH"], "path": ["/a*"]}, "path[0]: '/a*': a path is a prefix of whole segments, not a glob; write each first segment in full (/repos), or / for every path of the host;"
         " methods[0]: 'FETCH': not an HTTP method that a route can allow; usual ones: GET, HEAD, POST, PUT, PATCH,"
         " DELETE, OPTIONS"),
    ],
)  # fmt: skip
def test_the_agent_is_answered_in_the_owners_words(route: dict[str, Any], said: str) -> None:
    with pytest.raises(ChangeError) as error:
        Change.read({"path": "egress.routes", "value": route})
    assert str(error.value) == said
    with pytest.raises(ChangeError, match=r"\Ahost: 'a b': not a host name"):
        Change.read({"path": "pipelock.allow", "value": "a b"})


def test_a_host_is_asked_for_where_pipelock_decides() -> None:
    assert host_wish({}, "a.example.com", "", has_egress=False) == {"path": "pipelock.allow", "value": "a.example.com"}
    with pytest.raises(WishError, match="egress-block"):
        host_wish({}, "a.example.com", "", has_egress=True)


def post(path: str = "/repos/acme/project/issues") -> Change:
    return Change.read(
        {"path": "egress.routes", "value": {"host": "api.github.com", "path": [path], "methods": ["POST"]}}
    )


def test_the_owner_is_told_the_credential() -> None:
    bottle = bottle_of(OWNERS)
    assert gain(named(bottle, post())) == (
        "reach api.github.com: POST on /repos/acme/project/issues, with your GITHUB_TOKEN"
    )
    assert gain(named(bottle, post("/markdown"))).endswith("POST on /markdown, without a credential")
    assert notes(bottle, named(bottle, post("/markdown"))) == [
        "requests to other paths of api.github.com get your GITHUB_TOKEN; requests to this one get no credential"
    ]
    assert gain(post()) == "reach api.github.com: POST on /repos/acme/project/issues"  # as asked: nobody has looked


def test_what_pipelock_does_not_look_into_is_said() -> None:
    for host in ("api.anthropic.com", "*.anthropic.com"):
        change = Change.read({"path": "egress.routes", "value": {"host": host, "methods": ["GET"]}})
        assert f"requests to {host} are not scanned for secrets (pipelock.passthrough)" in notes({}, change)
        assert notes({"pipelock": {"passthrough": []}}, change) == []


def test_a_stack_file_that_is_not_valid_is_named() -> None:
    for wrong in ("text", {"egress": "text"}, {"egress": {"routes": {"host": "a.example.com"}}}):
        with pytest.raises(BottleError, match="of the stack file is not valid"):
            named(wrong, post())


def test_the_edit_keeps_comments_and_adds_what_it_says() -> None:
    same = changed(OWNERS, named(bottle_of(OWNERS), post("/repos/acme/project")))
    assert [line for line in same.splitlines() if line not in OWNERS.splitlines()] == [
        "          methods: [GET, POST]   # reading"
    ]
    deeper = changed(OWNERS, named(bottle_of(OWNERS), post()))
    assert set(OWNERS.splitlines()) <= set(deeper.splitlines())
    routes = bottle_of(deeper)["egress"]["routes"]
    assert routes[2] == {
        "host": "api.github.com", "path": ["/repos/acme/project/issues"], "methods": ["GET", "POST"], "token_ref": "GITHUB_TOKEN",
    }  # fmt: skip
    wild = {"path": "egress.routes", "value": {"host": "a.example.com", "path": ["/x"], "methods": ["PROPFIND"]}}
    exact = bottle_of(changed(OWNERS, named(bottle_of(OWNERS), Change.read(wild))))["egress"]["routes"]
    assert [(r["host"], r.get("path"), r.get("until")) for r in exact[2:]] == [
        ("a.example.com", None, "2999-01-01T00:00:00Z"), ("a.example.com", ["/x"], "2999-01-01T00:00:00Z"),
        ("a.example.com", ["/x"], None),
    ]  # fmt: skip
    with pytest.raises(BottleError, match=r"egress.routes\[0\] of the stack file"):
        changed(OWNERS.replace("methods: [GET]", "methods: [no way]"), post())


def test_a_host_that_is_allowed_keeps_its_time() -> None:
    text = FILE.replace(
        "    egress:",
        '    pipelock: {allow: [{host: "*.example.com", until: "2998-01-01T00:00:00Z"}, b.example.net]}\n    egress:',
    )

    def allowed(value: Any) -> list[Any]:
        return list(bottle_of(changed(text, Change("pipelock.allow", value)))["pipelock"]["allow"])

    assert len(allowed("b.example.net")) == 2
    assert len(allowed({"host": "b.example.net", "until": "2997-01-01T00:00:00Z"})) == 2
    assert len(allowed({"host": "a.example.com", "until": "2997-01-01T00:00:00Z"})) == 2
    assert allowed("a.example.com")[2] == "a.example.com"
    assert allowed("*.example.com")[0] == "*.example.com"


@pytest.mark.parametrize(
    ("path", "asked", "owner", "expected"),
    [
        ("agent.memory", "1g", False, "2g"), ("agent.memory", "2048m", False, "2g"), ("agent.memory", "3g", False, "3g"),
        ("agent.memory", "1g", True, "1g"), ("agent.cpus", 1.0, False, None), ("agent.cpus", 4.0, False, 4.0),
    ],
)  # fmt: skip
def test_an_agents_wish_takes_no_memory_and_no_cpus_away(path: str, asked: Any, owner: bool, expected: Any) -> None:
    change = Change.read({"path": path, "value": asked}, owner=owner)
    assert bottle_of(changed(FILE, change))["agent"].get(path.partition(".")[2]) == expected


def test_whether_the_refused_request_passes_is_known_before() -> None:
    bottle = bottle_of(OWNERS)
    after = bottle_of(changed(OWNERS, named(bottle, post())))
    assert why_refused(after, post(), REFUSED) == ""
    assert "POST is not declared" in why_refused(bottle, post(), REFUSED)
    assert "only the owner can allow it" in why_refused(after, post(), {**REFUSED, "reason": "ssrf_private_ip"})
    allow = Change.read({"path": "pipelock.allow", "value": "b.example.net"})
    assert "ask with egress-block" in why_refused(bottle, allow, {})
    assert why_refused({"pipelock": {"allow": ["b.example.net"]}}, allow, {"host": "b.example.net"}) == ""
    assert "on the allowlist" in why_refused({"pipelock": {}}, allow, {"host": "c.example.net"})
    assert "not a host name" in why_refused(bottle, post(), {**REFUSED, "host": "a b"})


@pytest.mark.parametrize(
    ("verdict", "note", "said", "unsaid"),
    [
        (APPROVED, "it passes, status 200.", "It is in force; try again. it passes", "pending"),
        (APPROVED, f"{STILL_REFUSED} it leads inside.", f"and the change is made. {STILL_REFUSED} it leads inside.", "in force"),
        (PENDING, "", "keep waiting", "approved"),
    ],
)  # fmt: skip
def test_try_again_is_said_only_where_it_helps(verdict: str, note: str, said: str, unsaid: str) -> None:
    message = answer(Proposal("p-0000000001", 0.0, "egress-block", ROUTE, "w", {}, verdict, "", None, note))
    assert said in message
    assert unsaid not in message


AS_PEOPLE_WRITE = """\
config:
    docker:host:   "unix:///x"   # in a column
    claude-bottle:bottle:
        agent: {apt: [jq,   make], memory: "2g"}
        egress:
            routes:
            - host: a.example.com
              methods: [GET,HEAD]   # read only

            # the last one
        env:
            FOLDED: >-
              some text
              more
"""


@pytest.mark.parametrize(
    ("change", "taken", "added"),
    [
        (Change("agent.memory", "8g"), ['        agent: {apt: [jq,   make], memory: "2g"}'], ["        agent: {apt: [jq,   make], memory: 8g}"]),
        (Change("egress.routes", {"host": "b.example.com"}), [], ["            - host: b.example.com"]),
        (Change("pipelock.allow", "c.example.com"), [], ["        pipelock:", "            allow:", "            - c.example.com"]),
    ],
)  # fmt: skip
def test_an_approval_changes_no_line_that_it_is_not_about(change: Change, taken: list[str], added: list[str]) -> None:
    after = changed(AS_PEOPLE_WRITE, change)
    lines = [line for line in difflib.ndiff(AS_PEOPLE_WRITE.splitlines(), after.splitlines()) if line[0] in "-+"]
    assert [line[2:] for line in lines if line[0] == "-"] == taken
    assert [line[2:] for line in lines if line[0] == "+"] == added


@pytest.mark.parametrize(
    "words", [":%<<", "a: b", "yes", "12:30", "# x", "'", '"', "\\", "]", "}, x: {", "*a", "&a", "\u00e9", "@x", "`x"]
)
def test_what_an_agent_writes_is_read_alike_by_others(words: str) -> None:
    """PyYAML stands for the readers of other projects; Pulumi reads with Go's, which refuses `:%` as this one does."""
    for text in (
        "config:\n  claude-bottle:bottle: {egress: {routes: [{host: a.example.com}]}}\n",
        "config:\n  claude-bottle:bottle:\n    egress:\n      routes:\n        - host: a.example.com\n",
    ):
        after = changed(text, Change("egress.routes", {"host": "b.example.com", "description": words}))
        routes = yaml.safe_load(after)["config"]["claude-bottle:bottle"]["egress"]["routes"]
        assert routes[1]["host"] == "b.example.com"
        assert len(routes) == 2
        if "{" in text:
            assert routes[1]["description"] == words
