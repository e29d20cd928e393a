"""The agent's environment is the table's, and the table is the page's. What each program reads is told by its makers: the
addresses stand in claude_bottle/manifest/agent_env.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from mocked import Recorder, compose

from claude_bottle.manifest.agent_env import PROGRAMS, VARIABLES, program_env, programs_page

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return compose({"egress": {"routes": [{"host": "api.example.com"}]}})[0]


def test_the_agent_has_the_tables_environment(recorder: Recorder) -> None:
    variables = dict(one.split("=", 1) for one in recorder.container("agent").inputs["envs"])
    assert variables.items() >= program_env("egress:8080").items()


def test_every_variable_has_a_program_that_reads_it_and_the_other_way_round() -> None:
    assert {name for one in PROGRAMS for name in one.reads} == set(VARIABLES)


def test_the_stored_page_is_the_tables() -> None:
    assert (ROOT / "docs/programs.md").read_text() == programs_page(), "run: make docs"


def test_java_is_told_of_the_proxy_by_properties() -> None:
    """docs.oracle.com, Java networking and proxies; JVM TI, JAVA_TOOL_OPTIONS: options apart by blanks."""
    options = program_env("egress:8080")["JAVA_TOOL_OPTIONS"].split()
    properties = dict(option.removeprefix("-D").split("=", 1) for option in options)
    for scheme in ("http", "https"):
        assert (properties[f"{scheme}.proxyHost"], properties[f"{scheme}.proxyPort"]) == ("egress", "8080")
    assert {"localhost", "git-gate", "supervise"} <= set(properties["http.nonProxyHosts"].split("|"))


def test_what_breaks_a_program_is_not_set() -> None:
    """YARN_NO_PROXY: openai/codex issue 40956. CLOUDSDK_PROXY_*: docs.cloud.google.com/sdk/docs/proxy-settings, they make
    it ignore no_proxy. AWS_CA_BUNDLE: rclone 1.60 stops, as aws-sdk-go does with a transport of one's own."""
    assert not [
        name for name in VARIABLES if name in ("YARN_NO_PROXY", "AWS_CA_BUNDLE") or name.startswith("CLOUDSDK_PR")
    ]


def test_who_has_no_name_server_does_not_wait_for_it(recorder: Recorder) -> None:
    """resolv.conf(5): 5 seconds and 2 attempts, for each family of addresses, where nothing else is said."""
    containers = {one.inputs["hostname"]: one.inputs for one in recorder.all(":Container")}
    assert containers["agent"]["dnsOpts"] == containers["egress"]["dnsOpts"] == ["timeout:1", "attempts:1"]
    assert "dnsOpts" not in containers["pipelock"]  # it looks real names up, and may wait for them


def test_the_agent_alone_has_shared_memory_for_a_browser(recorder: Recorder) -> None:
    sizes = {one.inputs["hostname"]: one.inputs.get("shmSize") for one in recorder.all(":Container")}
    assert {role for role, size in sizes.items() if size} == {"agent"}
    assert 512 <= sizes["agent"] <= 2048
