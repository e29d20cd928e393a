"""No message of a manifest repeats what may be a credential: it ends in a terminal, in a log, in what CI keeps."""

from __future__ import annotations

from typing import Any

import pytest
from placed import placed

from claude_bottle.checks.validation import examine
from claude_bottle.manifest.examples import EXAMPLES
from claude_bottle.manifest.readable import Readable
from claude_bottle.policy.shown_values import may_be_shown

SECRET = "S3cretPassw0rdXYZ"  # as people choose one: no rule of DLP has it
SHAPES = {
    "alone": SECRET,
    "login in a URL": f"http://me:{SECRET}@proxy.example.com:3128",
    "login in a URL of https": f"https://{SECRET}@a.example.com/x",
    "login": f"me:{SECRET}",
    "login with letters alone": "me:hunter-two",
    "short login in a URL": "https://me:hunter-two@a.example.com",
    "with a blank": f" me:{SECRET}@a.example.com",
    "header": f"Bearer {SECRET}",
    "basic": f"Basic {SECRET}",
    "words": "Bearer hunter-two",
    "query": "/x?token=hunter-two*",
    "prefix": f"ghp_{SECRET}!",
    "path": f"/a/{SECRET}/*",
    "host": f"{SECRET}",
    "hex": "7d" * 16 + "!",
}


def said(raw: dict[str, Any]) -> str:
    return "\n".join(map(str, examine(raw, lambda _: None, stack="demo").findings))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("key", EXAMPLES)
def test_no_message_repeats_a_credential(key: str, shape: str) -> None:
    """The name of a file that the model accepts is shown, for it has to be looked for."""
    for value in (SHAPES[shape], [SHAPES[shape]], {"a": SHAPES[shape]}):
        text = "\n".join(map(str, Readable(placed(key, value)).findings))
        for word in (SECRET, "hunter-two", "7d" * 6):
            if word in SHAPES[shape]:
                assert word not in text, text


@pytest.mark.parametrize("key", ["token_ref", "upstream_proxy_ref"])
def test_a_secret_in_place_of_its_name_is_not_shown(key: str) -> None:
    """It may have no other letters than a name has."""
    route = {"host": "a.example.com", "token_ref": "hunter2password"}
    proxy = {"upstream_proxy": "http://proxy.example.com:3128", "upstream_proxy_ref": "hunter2password"}
    raw = {"egress": {"routes": [route]}} if key == "token_ref" else {"pipelock": proxy}
    text = said(raw)
    assert "no such secret" in text
    assert "hunter2" not in text


def test_an_old_role_is_not_shown() -> None:
    route = {"host": "a.example.com", "role": f"x {SECRET}", "auth_scheme": f"Bearer {SECRET}"}
    text = said({"egress": {"routes": [route]}})
    assert "is no longer supported; write" in text
    assert SECRET not in text


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("agent.cpus", 0), ("agent.cpus", "two"), ("supervise", "ask"), ("agent.memory", "4 GB"), ("pipelock.engine", "bultin"),
        ("egress.routes[0].host", "api.github.com:443"), ("egress.routes[0].host", "https://api.github.com/x"),
        ("egress.routes[0].path[0]", "/repos/*/issues"), ("egress.routes[0].methods[0]", "FETCH"), ("skills", "review"),
        ("workspace.path", "~/src/project"), ("agent.apt[0]", "python3=3.13"), ("git[0].name", "My Project"),
    ],
)  # fmt: skip
def test_plain_values_are_shown(path: str, value: object) -> None:
    assert may_be_shown(path, value)
