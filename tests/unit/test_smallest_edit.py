"""A yes takes nothing away: over random routes, wishes and requests, and for the cases that people meet."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from claude_bottle.approvals.edit.smallest_edit import Edit, EditError, credential_around, smallest
from claude_bottle.checks.validation import examine
from claude_bottle.manifest.model import EgressRoute, Manifest
from claude_bottle.manifest.render.routes import RouteTableFile
from claude_bottle.manifest.route_check import Asked, decide, in_table, instance, table, times
from claude_bottle.policy.names.hosts import host_matches
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.paths import below
from claude_bottle.policy.routes.table import Route, RouteTable

EXAMPLES = int(os.environ.get("CLAUDE_BOTTLE_EXAMPLES", "40")) * 3
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much]
LATER, LATEST, PAST = "2998-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "2020-01-01T00:00:00Z"
PATHS = [
    "/graphql",
    "/graphql/x",
    "/",
    "/x",
    "/X",
    "/x/",
    "/x/y",
    "/x/y/z",
    "/xy",
    "/repos/o/r",
    "/repos/o/r/issues",
    "/repos/o/r/pulls/1/merge",
]

exact = st.sampled_from(["a.example.com", "b.a.example.com", "c.example.com"])
host = exact | st.sampled_from(["*.example.com", "*.a.example.com"])
methods = st.lists(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]), min_size=1, max_size=4, unique=True)
paths = st.lists(st.sampled_from(PATHS), max_size=2, unique=True)
forge = st.lists(st.sampled_from(["merge", "code"]), max_size=1)
until = st.sampled_from([None, None, None, PAST, LATER, LATEST])


@st.composite
def routes(draw: st.DrawFn) -> EgressRoute:
    fields: dict[str, Any] = {"host": draw(host), "path": draw(paths), "methods": draw(methods), "until": draw(until)}
    if not fields["host"].startswith("*."):
        fields["token_ref"] = draw(st.sampled_from([None, "TOKEN_A", "TOKEN_B"]))
        if fields["token_ref"]:
            fields["auth_scheme"] = draw(st.sampled_from([None, "bearer", "basic"]))
    fields["forge"] = draw(forge)
    fields["allow_headers"] = draw(st.sampled_from([[], [], ["x-http-method-override"]]))
    fields["allow_ranges"] = draw(st.sampled_from([False, False, True]))
    if draw(st.integers(0, 4)) == 0:
        fields |= {"path": ["/graphql"], "repositories": draw(st.sampled_from([["o/r"], ["o/s"], ["o/r", "o/s"]]))}
    return EgressRoute.model_validate(fields)


def conflicts(entries: list[EgressRoute]) -> list[str]:
    """What validation has against a set of routes."""
    raw = {"egress": {"routes": [route.model_dump(exclude_defaults=True) for route in entries]}}
    findings = examine(raw, lambda _: "a-secret-value-0123456789").findings
    return [str(finding) for finding in findings]


manifests = st.lists(routes(), max_size=4)
wishes = st.builds(
    lambda h, p, m, f, u: EgressRoute(host=h, path=p, methods=m, forge=f, until=u),
    host, paths, methods, forge, st.sampled_from([None, None, LATER]),
)  # fmt: skip
requests = st.builds(
    Asked,
    st.sampled_from(["https", "https", "http"]),
    st.sampled_from(["a.example.com", "b.a.example.com", "z.a.example.com", "c.example.com", "z.example.com"]),
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]),
    st.builds(
        lambda before, path, after: before + path.rstrip("/") + after,
        st.sampled_from(["", "", "/"]),
        st.sampled_from([*PATHS, "/other", "/REPOS/o/r"]),
        st.sampled_from(["", "/", "/deeper", ";v=1", ".", "%2Fq", "/../x", "?q=1", "/pulls/1/merge", "/issues", "/contents/f"]),
    ).map(lambda path: path or "/"),
)  # fmt: skip


def within(wish: EgressRoute, asked: Asked, was: Refusal, by: Route) -> bool:
    """Whether a request is one that the words of a wish name; written apart from the code that makes the edit.

    One that servers read in two ways, where the one way passed before, and the other is what the wish names.
    """
    path, two_ways = asked.path.partition("?")[0], was.reason == "ambiguous_path"
    return (
        host_matches(wish.host, asked.host)
        and (two_ways or not wish.path or any(below(prefix, path) or prefix == "/" for prefix in wish.path))
        and asked.method in wish.methods
        and (by.slot, by.auth_scheme) == (wish.token_ref, wish.scheme)
    )


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=QUIET)
@given(before=manifests, wish=wishes, asked=st.lists(requests, min_size=1, max_size=30))
def test_a_yes_gives_what_its_words_say_and_takes_nothing_away(
    before: list[EgressRoute], wish: EgressRoute, asked: list[Asked]
) -> None:
    assume(not conflicts(before))
    named, _ = credential_around(before, wish)
    try:
        edit = smallest(before, named)
    except EditError:
        return  # it says so before the owner is asked; how seldom that is, is the next test's
    after = edit.on(before)
    assert conflicts(after) == []
    requested = [replace(one, host=instance(wish.host)) for one in asked]
    own = [*requested, *(replace(one, method=wish.methods[0]) for one in requested)]
    own += [replace(one, path=path) for one in requested for path in wish.path]
    for at in times(before, after):
        was, now = table(before, at), table(after, at)
        for one in [*asked, *own]:
            old, new = decide(was, one), decide(now, one)
            if isinstance(old, Route):
                assert isinstance(new, Route), one
                assert (new.slot, new.auth_scheme) == (old.slot, old.auth_scheme), one
                assert new.forge >= old.forge
                assert new.allow_headers >= old.allow_headers
                assert new.allow_ranges >= old.allow_ranges
                assert new.repositories == old.repositories
            if isinstance(new, Route) and isinstance(old, Refusal):
                assert within(named, one, old, new), one
            if isinstance(new, Route) and isinstance(old, Route):
                assert new.forge - old.forge <= set(wish.forge if one.method in wish.methods else ()), one
                assert (new.allow_headers, new.allow_ranges) == (old.allow_headers, old.allow_ranges), one
    for path in named.path or ["/"]:
        for method in named.methods:
            verdict = decide(table(after), Asked("https", instance(named.host), method, path))
            if named.path:
                assert isinstance(verdict, Route) or verdict.reason == "forge_write"
    # The same wish once more has nothing left to give.
    again = smallest(after, credential_around(after, wish)[0])
    assert (again.changed, again.added) == ({}, ())


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=QUIET)
@given(before=manifests, wish=wishes)
def test_a_wish_on_routes_without_case_or_end_can_always_be_given(before: list[EgressRoute], wish: EgressRoute) -> None:
    before = [
        route.model_copy(update={"until": None, "path": [p for p in route.path if p != "/X"]}) for route in before
    ]
    wish = wish.model_copy(update={"path": [p for p in wish.path if p != "/X"], "forge": []})
    both = [r.host for r in before if not r.path] + [r.host for r in before if "/" in r.path]
    assume(not conflicts(before) and len(both) == len(set(both)))
    assert isinstance(smallest(before, credential_around(before, wish)[0]), Edit)


def given_to(routes_told: list[dict[str, Any]], wish_told: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """The routes after an agent's wish, as they are written, and the notes."""
    before = [EgressRoute.model_validate(route) for route in routes_told]
    named, note = credential_around(before, EgressRoute.model_validate(wish_told))
    edit = smallest(before, named)
    return [r.model_dump(exclude_defaults=True) for r in edit.on(before)], [n for n in (note, *edit.notes) if n]


PROJECT = {"host": "api.github.com", "path": ["/repos/acme/project"], "methods": ["GET"], "token_ref": "GITHUB_TOKEN"}
ISSUES = {**PROJECT, "path": ["/repos/acme/project/issues"]}
WILD = {"host": "*.example.com", "methods": ["GET"]}
MERGE = {"host": "api.github.com", "path": ["/repos/acme/project/pulls"], "methods": ["PUT"], "forge": ["merge"]}


@pytest.mark.parametrize(
    ("before", "wish", "after"),
    [
        # A deeper path: what goes there by the route around it is copied, and the new method has its credential.
        ([PROJECT], {"host": "api.github.com", "path": ISSUES["path"], "methods": ["POST"]}, [PROJECT, {**ISSUES, "methods": ["GET", "POST"]}]),
        # The same path: the method is added to the route.
        ([PROJECT], {**PROJECT, "methods": ["POST"]}, [{**PROJECT, "methods": ["GET", "POST"]}]),
        # A path beside it has no route around it, so it goes without.
        ([PROJECT], {"host": "api.github.com", "path": ["/user"], "methods": ["GET"]},
         [PROJECT, {"host": "api.github.com", "path": ["/user"], "methods": ["GET"]}]),
        # An exact name below a wildcard: what the wildcard allows is copied.
        ([WILD], {"host": "a.example.com", "path": ["/x"], "methods": ["POST"]},
         [WILD, {"host": "a.example.com", "methods": ["GET"]}, {"host": "a.example.com", "path": ["/x"], "methods": ["GET", "POST"]}]),
        # Nothing of the new host is there.
        ([WILD], {"host": "b.example.net", "methods": ["GET"]}, [WILD, {"host": "b.example.net", "methods": ["GET"]}]),
        # It is there.
        ([PROJECT], {**ISSUES, "methods": ["GET"]}, [PROJECT]),
        # A capability is for the methods that it is asked for, and what is around it keeps its own.
        ([{**PROJECT, "methods": ["GET", "PUT"]}], MERGE,
         [{**PROJECT, "methods": ["GET", "PUT"]}, {**PROJECT, "path": MERGE["path"], "methods": ["GET", "PUT"]}, {**MERGE, "token_ref": "GITHUB_TOKEN"}]),
        # One of the route around it is not lent to what was not asked with it.
        ([{**PROJECT, "methods": ["PUT"], "forge": ["merge"]}], {**MERGE, "methods": ["POST"], "forge": []},
         [{**PROJECT, "methods": ["PUT"], "forge": ["merge"]}, {**PROJECT, "path": MERGE["path"], "methods": ["PUT"], "forge": ["merge"]},
          {**PROJECT, "path": MERGE["path"], "methods": ["POST"]}]),
        # Two paths with the same rules are one route.
        ([PROJECT], {"host": "api.github.com", "path": ["/a", "/b"], "methods": ["GET"]},
         [PROJECT, {"host": "api.github.com", "path": ["/a", "/b"], "methods": ["GET"]}]),
        # `/` and no path are written as the host has them.
        ([{"host": "a.example.com", "methods": ["GET"]}], {"host": "a.example.com", "path": ["/"], "methods": ["POST"]},
         [{"host": "a.example.com", "methods": ["GET", "POST"]}]),
        # The very same, for longer.
        ([{**PROJECT, "until": LATER}], {**PROJECT, "until": LATEST}, [{**PROJECT, "until": LATEST}]),
        ([{**PROJECT, "until": LATER}], PROJECT, [PROJECT]),
        # A time limit never shortens what is there.
        ([PROJECT], {**PROJECT, "until": LATER}, [PROJECT]),
        # What is around it may end sooner: what was asked for does not, and the copy ends with it.
        ([{**PROJECT, "until": LATER}], {"host": "api.github.com", "path": ISSUES["path"], "methods": ["POST"]},
         [{**PROJECT, "until": LATER}, {**ISSUES, "until": LATER}, {**ISSUES, "methods": ["POST"]}]),
        # A deeper one for a limited time: when it ends, what went there before goes on.
        ([PROJECT], {"host": "api.github.com", "path": ISSUES["path"], "methods": ["POST"], "until": LATER},
         [PROJECT, ISSUES, {**ISSUES, "methods": ["POST"], "until": LATER}]),
        # What has ended comes back in its place.
        ([{**PROJECT, "token_ref": "T", "until": PAST}, WILD], {"host": "api.github.com", "path": PROJECT["path"], "methods": ["GET"]},
         [{**PROJECT, "token_ref": "T", "until": PAST}, WILD, {"host": "api.github.com", "path": PROJECT["path"], "methods": ["GET"]}]),
    ],
)  # fmt: skip
def test_what_a_yes_writes(before: list[dict[str, Any]], wish: dict[str, Any], after: list[dict[str, Any]]) -> None:
    assert given_to(before, wish)[0] == [EgressRoute.model_validate(r).model_dump(exclude_defaults=True) for r in after]


@pytest.mark.parametrize(
    ("before", "wish", "words"),
    [
        ([PROJECT], {"host": "api.github.com", "path": ["/user"], "methods": ["GET"]}, "requests to other paths of api.github.com get your GITHUB_TOKEN"),
        ([PROJECT], {"host": "api.github.com", "path": ["/"], "methods": ["POST"]}, "below /repos/acme/project your own routes apply"),
        ([{"host": "a.example.com", "methods": ["GET"]}], {"host": "*.example.com", "methods": ["GET"]}, "for a.example.com your own routes"),
        ([{**PROJECT, "until": LATER}], {**ISSUES, "methods": ["GET"]}, f"it already passes, until {LATER}"),
        ([], {"host": "api.github.com", "path": ["/repos/a/b"], "methods": ["DELETE"]}, "DELETE of /repos/a/b itself stays refused"),
    ],
)  # fmt: skip
def test_what_the_owner_should_know_is_said(before: list[dict[str, Any]], wish: dict[str, Any], words: str) -> None:
    assert any(note.startswith(words) for note in given_to(before, wish)[1]), given_to(before, wish)[1]


@pytest.mark.parametrize(
    ("before", "wish", "words"),
    [
        # Servers that mind no case read it as the route that goes with a credential, and this one goes without.
        ([{**PROJECT, "path": ["/X"], "methods": ["POST"]}], {"host": "api.github.com", "path": ["/x"], "methods": ["POST"]}, "no route allows POST /x"),
        ([{"host": "a.example.com"}, {"host": "a.example.com", "path": ["/"], "methods": ["PROPFIND"]}],
         {"host": "a.example.com", "path": ["/"], "methods": ["GET"]}, "both the path / and no path"),
        # For a server that minds no case, POST of /x would take the place of what is declared for /X.
        ([{"host": "a.example.com", "methods": ["POST"]}, {"host": "a.example.com", "path": ["/X"], "methods": ["GET"]}],
         {"host": "a.example.com", "path": ["/x"], "methods": ["GET"]}, "POST https://a.example.com/x would also pass"),
        ([], {"host": "a.example.com", "path": ["/p.git/git-receive-pack"], "methods": ["POST"]}, "git push over HTTP is refused"),
    ],
)  # fmt: skip
def test_what_cannot_be_given_says_why(before: list[dict[str, Any]], wish: dict[str, Any], words: str) -> None:
    with pytest.raises(EditError, match=words):
        given_to(before, wish)


def test_the_owners_own_words_may_take_something_away_and_that_is_said() -> None:
    before = [EgressRoute.model_validate({"host": "a.example.com", "methods": ["GET", "POST"]})]
    wish = EgressRoute(host="a.example.com", path=["/x"], methods=["GET"], token_ref="TOKEN_A")
    edit = smallest(before, wish, owner=True)
    assert [r.model_dump(exclude_defaults=True) for r in edit.added] == [
        {"host": "a.example.com", "path": ["/x"], "methods": ["POST"]},
        {"host": "a.example.com", "path": ["/x"], "methods": ["GET"], "token_ref": "TOKEN_A"},
    ]
    assert any(note.startswith("this removes access: GET https://a.example.com/x ") for note in edit.notes), edit.notes
    assert "requests to a.example.com with a credential of the agent's own are refused from now on" in edit.notes


def test_the_table_that_is_evaluated_is_egress_own() -> None:
    """Tokens aside, which go by their names here."""
    entries = [PROJECT, WILD, {**MERGE, "allow_headers": ["x-a"], "allow_ranges": True, "until": LATER}]
    manifest = Manifest.model_validate({"egress": {"routes": entries}})
    own = RouteTable.parse(RouteTableFile.of(manifest).table.encode()).routes
    checked = tuple(in_table(route) for route in manifest.egress.routes)
    assert [replace(r, slot=None, inspected=False) for r in own] == [replace(r, slot=None) for r in checked]
