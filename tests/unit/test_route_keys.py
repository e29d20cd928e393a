"""A new key of a route is declared once: what is told of routes, asked for and compared has it from there."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from claude_bottle.policy.declared.keys import Choice, Flag, Names
from claude_bottle.policy.routes.route import KEYS

ROOT = Path(__file__).parents[2]
DECLARATION = "claude_bottle/policy/routes/route.py"
OF_VALUES = "claude_bottle/policy/routes/values.py"  # the declaration's own checks
NEW = """
    allow_trailers: bool = declared(Flag(
        doc="Let trailers through.", example="true", right="trailers", says="may send trailers".format,
        widens=lambda _: ", with trailers", asks="Whether it has trailers.",
    ))
    dialects: frozenset[str] = declared(Names(
        doc="What may be spoken.", example="[latin]", fits=str.islower, wants="not a list of dialects",
        right="dialect", says="may speak {}".format, widens=lambda names: f", in {' or '.join(names)}",
    ))
"""
# Before anything else is imported, the declaration with NEW takes the place of the one that is there.
LOADS = """
import sys, types
name = "claude_bottle.policy.routes.route"
sys.modules[name] = module = types.ModuleType(name)
exec(compile(sys.argv[1], "route.py", "exec"), vars(module))
"""
ASKS = """
import inspect, json
from claude_bottle.cli.manifest_tool import stack_file_schema
from claude_bottle.manifest.change import Change
from claude_bottle.manifest.checks import conflicts
from claude_bottle.manifest.docs import manifest_page
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.routes import RouteTableFile
from claude_bottle.manifest.route_check import gained, lost
from claude_bottle.plan.diff import changes
from claude_bottle.plan.page import with_keys_of_routes
from claude_bottle.plan.resolved import plan
from claude_bottle.plan.table import rows
from claude_bottle.policy.routes.route import gives_no_more, narrowest
from claude_bottle.policy.routes.table import RouteTable, TableError
from claude_bottle.workspace.copies import Copies
from sidecar_images.supervise.route_arguments import asks_for_a_route
from sidecar_images.supervise.wishes import route_wish

VOLUMES = {"home": "claude-bottle-home-s", "mirrors": "claude-bottle-mirrors-s"}

PLAIN = {"host": "a.example.com", "path": ["/x"], "methods": ["GET"]}
GIVEN = {**PLAIN, "allow_trailers": True, "dialects": ["latin"]}

def made(*routes):
    return Manifest.model_validate({"egress": {"routes": list(routes)}})

def planned(*routes):
    manifest, images = made(*routes), dict.fromkeys(("agent", "egress", "pipelock", "supervise"), "i")
    return plan("s", manifest, RouteTableFile.of(manifest), Copies(), [], images, VOLUMES)

def refused(**item):
    try:
        RouteTable.parse(json.dumps({"version": 1, "routes": [{"host": "a.example.com", **item}]}).encode())
    except TableError as error:
        return str(error)

async def tool(why: str, proposal_id: str = "", **asked: object) -> str: ...

old, new = made(PLAIN).egress.routes, made(GIVEN).egress.routes
table = RouteTableFile.of(made(GIVEN)).table
route, bare = RouteTable.parse(table.encode()).routes[0], RouteTable.parse(RouteTableFile.of(made(PLAIN)).table.encode()).routes[0]
told = {
    "page": [line for line in manifest_page().splitlines() if "trailers" in line or "dialects" in line],
    "schema": {k: stack_file_schema()["$defs"]["EgressRoute"]["properties"][k]["type"] for k in ("allow_trailers", "dialects")},
    "plan page": with_keys_of_routes("| `egress.routes[]` | old |"),
    "table": json.loads(table)["routes"][0],
    "read": [route.allow_trailers, sorted(route.dialects), bare.allow_trailers, sorted(bare.dialects)],
    "told": RouteTable((route,), "").describe()["routes"][0],
    "refused": [refused(allow_trailers=1), refused(dialects=["A"])],
    "planned": planned(GIVEN)["egress"]["routes"][0],
    "row": [text for heading, text in rows(planned(GIVEN)) if heading == "can reach"],
    "changes": [*changes(planned(PLAIN), planned(GIVEN)), *changes(planned(GIVEN), planned(PLAIN))],
    "words": Change.read({"path": "egress.routes", "value": GIVEN}, owner=True).in_words(),
    "asked": Change.read(route_wish({}, "a.example.com", ["/x"], ["GET"], None, allow_trailers=True)).in_words(),
    "parameters": {k: str(p.annotation) for k, p in inspect.signature(asks_for_a_route(tool)).parameters.items()},
    "compared": [str(lost(new, old)), str(gained(old, new, old[0])), gives_no_more(bare, route), gives_no_more(route, bare)],
    "narrowest": [narrowest([route, bare]).allow_trailers, sorted(narrowest([route, bare]).dialects)],
    "conflict": [str(one) for one in conflicts([*enumerate([*old, *new])])],
}
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    source = (ROOT / DECLARATION).read_text()
    changed = source.replace("    inspected: bool", f"{NEW}    inspected: bool")
    assert changed != source
    argv = [sys.executable, "-c", LOADS + ASKS, changed]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_manifest_its_schema_and_its_page_have_a_new_key(report: dict[str, Any]) -> None:
    assert report["page"] == [
        "| `egress.routes[].allow_trailers` | true or false | `false` | Let trailers through. | `true` |",
        "| `egress.routes[].dialects` | list of text | `[]` | What may be spoken. | `[latin]` |",
    ]
    assert report["schema"] == {"allow_trailers": "boolean", "dialects": "array"}


def test_the_table_has_it_and_holds_it_to_its_kind(report: dict[str, Any]) -> None:
    assert (report["table"]["allow_trailers"], report["table"]["dialects"]) == (True, ["latin"])
    assert report["read"] == [True, ["latin"], False, []]
    assert (report["told"]["allow_trailers"], report["told"]["dialects"]) == (True, ["latin"])
    assert report["refused"] == [
        "routes[0].allow_trailers: true or false",
        "routes[0].dialects: not a list of dialects",
    ]


def test_the_plan_has_it_with_its_words(report: dict[str, Any]) -> None:
    assert (report["planned"]["allow_trailers"], report["planned"]["dialects"]) == (True, ["latin"])
    assert "`allow_trailers`, `dialects`" in report["plan page"]
    place = "a.example.com: GET on /x, without a credential"
    assert report["row"] == [f"{place}, may speak latin, may send trailers"]
    right = "a.example.com: GET on /x, may speak latin, may send trailers"
    assert report["changes"] == [f"+ the agent gains {right}", f"- no longer: {right}; it stays reachable"]


def test_who_may_ask_for_it_asks_in_its_words(report: dict[str, Any]) -> None:
    assert report["words"] == "reach a.example.com: GET on /x, in latin, with trailers"
    assert report["asked"] == "reach a.example.com: GET on /x, with trailers"
    asked = [name for name, key in KEYS.items() if key.asks]
    assert list(report["parameters"]) == ["why", *asked, "allow_trailers", "proposal_id"]
    assert "bool" in report["parameters"]["allow_trailers"]
    assert "Whether it has trailers." in report["parameters"]["allow_trailers"]


def test_two_routes_are_compared_by_it(report: dict[str, Any]) -> None:
    request = "GET https://a.example.com/x"
    assert report["compared"] == [request, request, True, False]
    assert report["narrowest"] == [False, []]
    assert "conflicts with egress.routes[0]" in report["conflict"][0]


def test_what_a_key_gives_has_words_in_the_plan() -> None:
    """Those of forge and repositories are made of more than the key (claude_bottle/plan/words.py)."""
    gives = {name for name, key in KEYS.items() if isinstance(key, Flag | Choice | Names)}
    assert {name for name in gives if not KEYS[name].says} == {"placeholder", "forge", "repositories"}


# What says where a route leads and how long, and whose credential goes there: each is a rule of its own.
PLACE = {"host", "path", "methods", "auth_scheme", "token_ref", "description", "until"}


def test_no_other_module_lists_the_keys_of_a_route() -> None:
    names = KEYS.keys() - PLACE
    for room in ("claude_bottle", "addons", "sidecar_images", "dashboard", "components", "toolchain"):
        for file in (ROOT / room).rglob("*.py"):
            tree = list(ast.walk(ast.parse(file.read_text())))
            said = {node.value for node in tree if isinstance(node, ast.Constant) and isinstance(node.value, str)}
            said |= {str(node.arg) for node in tree if isinstance(node, ast.keyword)}
            matches = names & said
            assert len(matches) <= 3 or str(file.relative_to(ROOT)) in (DECLARATION, OF_VALUES), (
                f"{file}: {sorted(matches)}"
            )
