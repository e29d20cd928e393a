"""A check has the canonical host of what was judged, never the one that mitmproxy holds (addons/frame/request.py)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
# They make the canonical one, write heads, or say in a log and a refusal what was asked for.
FREE = {"frame/request_target", "http/http1_bodies", "http/layers", "http/heads", "frame/decision_log", "frame/refuse"}
NAMES = {"host", "pretty_host", "host_header", "authority", "url", "pretty_url"}
# In the frame: a CONNECT that is not judged yet, and an authority that is taken out. What a log is no place for, where
# the request could not be judged. A refusal's own words.
USES = {
    "frame/proxy": ["flow.request.host", "flow.request.authority"],
    "frame/role": ["request.host"],
    "egress/bodies": ["flow.request.host"],
}


def uses(source: str) -> Iterator[str]:
    """Where a module asks mitmproxy's request for a host."""
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        arguments = [*function.args.args, *function.args.kwonlyargs]
        theirs = {a.arg for a in arguments if a.annotation is not None and "http.Request" in ast.unparse(a.annotation)}
        theirs |= {  # `request = flow.request`
            target.id
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and ast.unparse(node.value).endswith("flow.request")
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and node.attr in NAMES:
                holder = ast.unparse(node.value)
                if holder in theirs or holder.endswith("flow.request"):
                    yield ast.unparse(node)


def test_no_check_asks_mitmproxy_for_the_host() -> None:
    asked = {
        name: sorted(set(uses(file.read_text())))
        for file in (ROOT / "addons").rglob("*.py")
        if (name := f"{file.parent.name}/{file.stem}") not in FREE
    }
    assert {name: places for name, places in asked.items() if places} == {n: sorted(u) for n, u in USES.items()}


def test_such_a_use_is_seen() -> None:
    assert list(uses("def check(request: http.Request, route: Route): return request.host")) == ["request.host"]
    assert list(uses("def hook(flow):\n    request = flow.request\n    return request.pretty_host")) == [
        "request.pretty_host"
    ]
    assert list(uses("def hook(self, flow): return self.x(flow.request.host)")) == ["flow.request.host"]
    assert list(uses("def check(request: Request): return request.host")) == []
