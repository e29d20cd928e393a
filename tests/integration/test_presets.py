"""`use` with the real Pulumi and a client of the test's own, and what the index then names: reached, and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import world

from claude_bottle.plan.diff import changes
from claude_bottle.plan.table import plans, rows

pytestmark = pytest.mark.docker

INDEX = "https://echo.example.com/simple"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("presets")


@pytest.fixture(scope="module")
def bottle(folder: Path, internet: world.Internet) -> Iterator[world.BottleUnderTest]:
    (folder / "bin").mkdir()
    words = f"Base URL of the Python Package Index (default {INDEX})."
    (folder / "bin/pip").write_text(f"#!/bin/sh\necho '{words}'\n")
    (folder / "bin/pip").chmod(0o755)
    manifest = {
        "use": ["python"],
        # An image of one's own gets no packages, which would have to come from somewhere.
        "agent": {"memory": "1g", "image": world.built("agent")},
        "egress": {"routes": [{"host": "plain.example.com", "methods": ["GET"], "follow": "redirects"}]},
        "pipelock": {"ca_files": ["root.pem"]},
        "network": {"external": internet.network},
    }

    env = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    with world.bottle(folder / "project", manifest, env, {"root.pem": internet.ca}) as bottle:
        yield bottle


@pytest.fixture(scope="module")
def up(bottle: world.BottleUnderTest) -> world.BottleUnderTest:
    bottle.up()
    return bottle


def preview(bottle: world.BottleUnderTest) -> Any:
    return json.loads(bottle.run("pulumi", "preview", "--json", "-s", bottle.name).stdout)


def test_a_preview_shows_what_a_preset_stands_for(bottle: world.BottleUnderTest, folder: Path) -> None:
    _, plan = plans(preview(bottle))
    assert plan is not None
    routes = [(r["host"], r["path"], r["methods"], r.get("follow")) for r in plan["egress"]["routes"][1:]]
    reads = ["GET", "HEAD"]
    assert routes == [("echo.example.com", ["/simple"], reads, "links"), ("echo.example.com", [], reads, "redirects")]
    assert {"PIP_INDEX_URL", "UV_DEFAULT_INDEX"} <= set(plan["agent"]["env"]) and "use" not in plan
    reach = "\n".join(text for heading, text in rows(plan) if heading == "can reach")
    assert "may read whatever address its answers name on hosts without a route" in reach
    assert list(changes(None, plan)) == ["+ the bottle is new"]


def test_without_the_client_a_preview_says_what_to_write(bottle: world.BottleUnderTest, folder: Path) -> None:
    (folder / "bin/pip").rename(folder / "bin/away")
    (folder / "bin/pip").write_text(
        "#!/bin/sh\necho 'Base URL of the Python Package Index (default https://me:hunter22@x.example.com/).'\n"
    )
    (folder / "bin/pip").chmod(0o755)
    try:
        done = bottle.run("pulumi", "preview", "-s", bottle.name)
    finally:
        (folder / "bin/away").rename(folder / "bin/pip")
    said = done.stdout + done.stderr
    assert done.returncode != 0 and "use[0]: pip reports an address that may hold a credential" in said
    assert "use: [{name: python, hosts: [packages.example.com]}]" in said and "hunter22" not in said


def test_a_file_on_another_host_is_read_because_the_index_names_it(
    up: world.BottleUnderTest, internet: world.Internet
) -> None:
    file = "https://undeclared.example.com/files/six-1-py3-none-any.whl"
    assert up.curl(file)[0] == 403, "before the index has named it"
    mark = internet.mark()
    assert up.curl("--compressed", f"{INDEX}/six/")[0] == 200
    assert up.curl("-A", "mine", "-H", "X-Data: mine", "-H", "Authorization: Bearer mine", file)[0] == 200
    assert up.curl(f"{file}.metadata")[0] == 200
    for argv in (
        (f"{file}?x=1",),
        ("-d", "x=1", file),
        ("https://undeclared.example.com/",),
        (file.replace("six", "seven"),),
    ):
        assert up.curl(*argv)[0] == 403, argv
    asked = [one for one in internet.since(mark) if one["host"] == "undeclared.example.com"]
    assert [(one["method"], one["path"]) for one in asked] == [
        ("GET", "/files/six-1-py3-none-any.whl"), ("GET", "/files/six-1-py3-none-any.whl.metadata"),
    ]  # fmt: skip
    for one in asked:
        assert {name for name, _ in one["headers"]} <= {"host", "user-agent", "accept", "accept-encoding"}
        assert "mine" not in json.dumps(one["headers"])
    decisions = [line for line in up.decisions("egress") if line.get("follows")]
    assert {line["follows"] for line in decisions} == {"echo.example.com"}


def test_a_signed_redirect_is_followed(up: world.BottleUnderTest, internet: world.Internet) -> None:
    mark = internet.mark()
    assert up.curl("-L", "https://plain.example.com/says/release")[0] == 200
    assert [one["host"] for one in internet.since(mark)] == ["plain.example.com", "sub.wild.example.com"]


def test_a_search_that_echoes_names_nothing(up: world.BottleUnderTest, internet: world.Internet) -> None:
    mark = internet.mark()
    assert up.curl("--compressed", f"{INDEX}/of-the-workspace/?q=1")[0] == 200
    assert up.curl("https://undeclared.example.com/files/of-the-workspace-1-py3-none-any.whl")[0] == 403
    assert [one["host"] for one in internet.since(mark)] == ["echo.example.com"]
