"""Whatever is written at a key of the manifest: one sentence in the manifest's words, with what to write."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from placed import placed
from pydantic import BaseModel, ValidationError

from claude_bottle.checks.validation import examine
from claude_bottle.cli.stack_check import findings
from claude_bottle.manifest import model as manifest
from claude_bottle.manifest import pipelock_fields as manifest_pipelock
from claude_bottle.manifest.examples import EXAMPLES
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.readable import Readable
from claude_bottle.policy.names.host_words import host_mistake
from claude_bottle.policy.routes.values import METHODS

KINDS: dict[str, Any] = {
    "text": "§",
    "number": 7777777,
    "fraction": 0.5,
    "list": [[]],
    "mapping": {"zzz": {}},
    "null": None,
    "true": True,
    "false": False,
    "nothing": "",
}
CLASSES = [
    name
    for module in (manifest, manifest_pipelock)
    for name, one in vars(module).items()
    if isinstance(one, type) and issubclass(one, BaseModel)
]
# pydantic's messages (pydantic_core, src/errors/types.rs), expressions of fields, names of classes and of Python's types.
FOREIGN = re.compile(
    r"Input should|String should|should (?:be|have|match)|[Ff]ield required|[Ee]xtra inputs|Value error|Keys should"
    r"|valid (?:string|integer|number|list|dictionary|boolean)|\\[A-Za-z]|\^\[|\{0,|\(\?|\b(?:dict|NoneType|str|int|float|bool|datetime)\b"
    rf"|\b(?:{'|'.join(CLASSES)})\b"
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", EXAMPLES)
def test_each_kind_at_each_key_is_accepted_or_one_sentence(key: str, kind: str) -> None:
    raw, value = placed(key, KINDS[kind]), KINDS[kind]
    try:
        Manifest.model_validate(raw)
    except ValidationError:
        pass
    else:
        assert Readable(raw).is_whole
        return
    lines = [str(one) for one in Readable(raw).findings]
    assert len(lines) == (2 if (key, kind) == ("workspace", "mapping") else 1), lines  # it has no path, too
    shown = key.replace("[]", "[0]").replace("{}", ".api.example.com")
    assert re.match(
        rf"{re.escape(shown)}(?:\[0\]|\.zzz|\.0|\.text|\.path)?: |{re.escape(shown.rpartition('.')[0])}: ", lines[0]
    )
    assert not FOREIGN.search(lines[0]), lines[0]
    assert re.search(
        r"write|accepted here|usual ones|belongs|is empty|is required|not a digest|not an upstream", lines[0]
    ), lines[0]
    if value is None:
        assert "is empty" in lines[0] or "either" in lines[0]


def test_the_sentence_names_kind_and_example() -> None:
    def said(raw: dict[str, Any]) -> list[str]:
        return [str(one) for one in Readable(raw).findings]

    assert said({"agent": {"apt": "python3"}}) == ["agent.apt: 'python3': write a list: [python3, make]"]
    assert said({"agent": {"cpus": True}}) == ["agent.cpus: true: write a number above 0, 256 at most"]
    assert said({"env": {"PORT": 8080}}) == ['env.PORT: write text, in quotes: "8080"']
    assert said({"agent": None}) == ["agent: is empty; write a mapping: {memory: 4g, cpus: 2}, or leave it out"]
    assert said({"prompt": 3}) == ["prompt: 3: write text (prompt: Answer in French.) or a file ({file: prompt.md})"]
    assert said({"git": [{"name": "a", "upstream": "a@b.example.com:c", "require_review": "yes"}]}) == [
        "git[0].require_review: 'yes': write true or false"
    ]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"agent": {"memroy": "2g"}}, "agent.memroy: unknown key; did you mean memory?"),
        ({"agent": {"Memory": "2g"}}, "agent.Memory: unknown key; did you mean memory?"),
        ({"apt": ["jq"]}, "apt: unknown key; write it under agent;"),
        ({"workspace": {"pth": "~/src"}}, "workspace.pth: unknown key; did you mean path?"),
        ({"prompt": {"txt": "hello"}}, "prompt.txt: unknown key; did you mean text?"),
        ({"egress": {"routes": [{"hosts": "a.example.com"}]}}, "egress.routes[0].hosts: unknown key; did you mean host?"),
        ({"pipelock": {"engine": "Builtin "}}, "did you mean builtin?"),
        ({"egress": {"routes": [{"host": "a.example.com", "forge": ["merges"]}]}}, "did you mean merge?"),
    ],
)  # fmt: skip
def test_a_mistyped_name_is_one_line_with_the_nearest_one(raw: dict[str, Any], words: str) -> None:
    (line,) = [str(one) for one in Readable(raw).findings]
    assert words in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("api.github.com:443", "no port, because http (80) and https (443) set it; write api.github.com"),
        ("https://api.github.com/x", "a URL is not a host name; write api.github.com, and path: [/x]"),
        ("http://x", "a URL is not a host name, and x is none either (a single label"),
        ("https://", "a URL is not a host name; write an exact name"),
        ("api.github.com/x?y", "a host name has no path; write api.github.com, and path: [/x]"),
        ("me@api.github.com", "a host name has no user; write api.github.com"),
        ("api.github.com.", "ends without a dot; write api.github.com"),
        (" api.github.com", "a blank before or after it; write api.github.com"),
        ("api.*.com", "a wildcard stands for whole labels"),
    ],
)
def test_what_looks_like_a_host_says_what_it_is(text: str, words: str) -> None:
    """RFC 3986, 3 and 3.2: the parts of a URL and of an authority."""
    said = host_mistake(text)
    assert said is not None
    assert words in said
    for raw in (
        {"egress": {"routes": [{"host": text}]}},
        {"pipelock": {"allow": [text]}},
        {"pipelock": {"allow_private_addresses": [text]}},
    ):
        assert [one.message for one in Readable(raw).findings] == [said]


def test_methods_are_those_of_http() -> None:
    """RFC 9110, 9.3: the eight methods; RFC 7237, 3, and RFC 5789: the registered ones. FETCH is none."""
    assert {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "VERSION-CONTROL"} <= set(METHODS)
    assert not {"FETCH", "CONNECT", "TRACE", "PRI", "*"} & set(METHODS)
    for method, lines in (("propfind", 0), ("VERSION-CONTROL", 0), ("FETCH", 1), ("GET ", 1), ("TRACE", 1)):
        raw = {"egress": {"routes": [{"host": "a.example.com", "methods": [method]}]}}
        assert len(Readable(raw).findings) == lines, method


@pytest.mark.parametrize(
    ("path", "instead"),
    [("/is-*", "write each first segment in full ("), ("/repos/*/issues", "write /repos ("), ("*", "write each first segment in full ("), ("/a/{id}", "write /a ("), ("/a?", "write each first segment in full (")],
)  # fmt: skip
def test_a_path_is_no_glob(path: str, instead: str) -> None:
    (one,) = Readable({"egress": {"routes": [{"host": "a.example.com", "path": [path]}]}}).findings
    assert "not a glob" in one.message
    assert instead in one.message


def lines(raw: dict[str, Any]) -> list[str]:
    return [str(one) for one in examine(raw, lambda _: "a-secret-value-0123456789", stack="demo").findings]


def test_one_mistake_hides_no_other_and_makes_none() -> None:
    assert [line.partition(":")[0] for line in lines({"agent": {"apt": 3, "image": "a", "dockerfile": "no/Dockerfile"}})] == [
        "agent.apt", "agent",
    ]  # fmt: skip
    # A file that is not there is told beside a wrong entry, by the index that the stack file has.
    remote = {"upstream": "https://git.example.com/a/b.git", "token_ref": "T_TOKEN"}
    wrong = lines({"git": [{**remote, "name": "A"}, {**remote, "name": "b", "gitleaks_config": "no-such.toml"}]})
    assert [line.partition(":")[0] for line in wrong] == ["git[0].name", "git[1].gitleaks_config"]
    assert (
        "git[1].gitleaks_config" in lines({"git": [3, {**remote, "name": "b", "gitleaks_config": "no-such.toml"}]})[1]
    )
    # What follows from a mistake is no second one.
    assert len(lines({"pipelock": {"engine": "bultin", "image": "example.com/p:1"}})) == 1
    assert len(lines({"pipelock": {"allow": ["a b"], "passthrough": ["c.example.com"]}})) == 1
    assert len(lines({"workspace": {"path": "/no/such/folder", "mode": "mout"}})) == 1
    assert len(lines({"workspace": {"path": 3, "copy_git": True, "mode": "mount"}})) == 1
    # Rules and expressions are looked at one by one.
    dlp = {
        "disabled_rules": ["jwt", "jwtt"],
        "patterns": [{"name": "a", "regex": "((ab"}, {"name": "b", "regex": "[abc"}],
    }
    problems = lines({"pipelock": {"dlp": {**dlp, "hosts": {"a.example.com": {"disabled_rules": ["nonsense"]}}}}})
    assert [line.partition(": ")[0] for line in problems] == [
        "pipelock.dlp.disabled_rules[1]",
        "pipelock.dlp.hosts.a.example.com.disabled_rules[0]",
        "pipelock.dlp.patterns[0].regex",
        "pipelock.dlp.patterns[1].regex",
    ]
    assert "did you mean jwt?" in problems[0]


@pytest.mark.parametrize("name", ["PATH", "HOME", "path", "HTTPS_PROXY"])
def test_what_the_image_and_the_bottle_set_is_not_overridden(name: str) -> None:
    (line,) = lines({"env": {name: "/opt/bin"}})
    assert "remove it" in line


def test_a_missing_secret_names_the_stack_and_the_nearest_secret() -> None:
    raw = {"egress": {"routes": [{"host": "a.example.com", "token_ref": "GITHUB_TOKEN"}]}}
    (one,) = examine(raw, lambda _: None, secrets={"GITHUB_TOKN": "a-secret-value"}, stack="demo").findings
    assert one.message == (
        "no such secret; did you mean GITHUB_TOKN, else"
        " ./bottle secret demo GITHUB_TOKEN asks for its value; or export GITHUB_TOKEN in this shell"
    )
    key = {"egress": {"routes": [{"host": "a.example.com", "token_ref": "ghp_a1B2c3D4e5F6g7H8i9J0k1L2m3N4p5Q6r7S8"}]}}
    (one,) = examine(key, lambda _: None, stack="demo").findings
    assert "./bottle secret demo GITHUB_TOKEN " in one.message


@pytest.mark.parametrize("shared", [[3], [{"x": 1}], ["review", 3, "b"]])
@pytest.mark.parametrize("keys", [("skills", "git"), ("git", "skills"), ("skills", "git", "egress", "prompt")])
def test_one_list_in_two_places_is_read_in_each(shared: list[Any], keys: tuple[str, ...]) -> None:
    """YAML 1.2.2, 7.1: an alias is the very node of its anchor, so a loader gives one object twice."""
    raw = {key: {"routes": shared} if key == "egress" else shared for key in keys}
    apart = {key: {"routes": [*shared]} if key == "egress" else [*shared] for key in keys}
    before = repr(raw)
    assert sorted(map(str, Readable(raw).findings)) == sorted(map(str, Readable(apart).findings))
    assert repr(raw) == before
    text = f"config:\n  claude-bottle:bottle:\n    skills: &one {shared!r}\n    git: *one\n"
    assert findings(text, Path("stacks"), stack="demo")
