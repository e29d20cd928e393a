"""Bottles of other shapes, and manifests that must not become one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import world

pytestmark = pytest.mark.docker


def test_without_routes_the_agent_works_through_pipelock(internet: world.Internet, tmp_path: Path) -> None:
    manifest = {
        "agent": {"memory": "1g"},
        "pipelock": {"allow": ["echo.example.com"], "upstream_roots": ["root.pem"]},
        "network": {"outside": internet.network},
    }
    with world.bottle(tmp_path / "p", manifest, files={"root.pem": internet.ca}) as bottle:
        bottle.up()
        assert bottle.curl("https://echo.example.com/")[0] == 200
        status, body = bottle.curl("https://plain.example.com/")
        assert (status, json.loads(body)["reason"]) == (403, "domain_not_allowed")
        assert bottle.agent("timeout 5 getent hosts egress || echo NONE").strip() == "NONE"
        assert "egress_container" not in bottle.stack.outputs()  # a null output is none
        agent, pipelock = bottle.container_id("agent"), bottle.container_id("pipelock")
        bottle.write({**manifest, "pipelock": {**manifest["pipelock"], "allow": ["*.example.com"]}})  # type: ignore[dict-item]
        bottle.up()
        assert bottle.curl("https://plain.example.com/")[0] == 200
        assert (bottle.container_id("agent"), bottle.container_id("pipelock")) == (agent, pipelock)
        bottle.stack.destroy()
        assert world.leftovers(bottle.name) == []


def test_a_bad_manifest_is_told_whole_and_creates_nothing(tmp_path: Path) -> None:
    manifest = {
        "colour": "blue",
        "cred_proxy": {},
        "egress": {
            "routes": [
                {"host": "api.example.com", "path": ["/a"]},
                {"host": "api.example.com", "path": ["/a"]},
                {"host": "https://api.example.com"},
                {"host": "b.example.com", "token_ref": "NO_SUCH_TOKEN"},
            ]
        },
    }
    with world.bottle(tmp_path / "p", manifest) as bottle:
        for verb in (bottle.stack.preview, bottle.stack.up):
            with pytest.raises(world.auto.CommandError) as failed:
                verb()
            assert "unhandled" not in str(failed.value)
            lines = [line.strip() for line in str(failed.value).splitlines()]
            for path in (
                "colour:",
                "cred_proxy:",
                "egress.routes[1]:",
                "egress.routes[2].host:",
                "egress.routes[3].token_ref:",
            ):
                assert any(line.startswith(path) for line in lines), (path, lines)
        assert world.leftovers(bottle.name) == []
