"""A GraphQL request as servers read it: its queries, with variables and documents. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote_plus

from claude_bottle.policy.forge.fields import base_name, is_json, plain_json
from claude_bottle.policy.forge.graphql.text import document_of
from claude_bottle.policy.forge.paths import read_path, words_of

if TYPE_CHECKING:
    from graphql import DocumentNode, FragmentDefinitionNode

# Limits beyond which a request is not read. GitHub allows 10,000 nodes in a query, and Apollo batches ten queries by
# default.
_MAX_QUERIES, _MAX_TOKENS, _MAX_BODY, _MAX_QUERY = 20, 10_000, 1 << 20, 256 << 10
# Rails also serves `/api/graphql.json`, and any other extension, `(.:format)`; so do Shopify's own paths. GitLab has a
# second name (config/routes/api.rb: glql).
_NAME = re.compile(r"(?:graphql|glql)(?:\.[^/]*)?\Z")
# Names that a server that reads a form would use; and those of them that hide other queries in a URL or in JSON, by
# GitLab's multiplex (app/controllers/graphql_controller.rb: `_json`) or uploads (graphql-multipart-request-spec).
_FORM_NAMES = frozenset(["query", "variables", "operationname", "operations", "map", "id", "extensions", "_json"])
_PLAIN_NAMES = frozenset(["query", "variables", "operationName", "id", "extensions"])
_HIDING = frozenset(["operations", "map", "_json"])


@dataclass(frozen=True)
class Query:
    """One query of a request. variables: by name. rest: everything else sent with it; from a URL, lists of texts."""

    document: DocumentNode
    variables: dict[str, Any]
    rest: dict[str, Any]

    @cached_property
    def fragments(self) -> dict[str, FragmentDefinitionNode]:
        """The query's fragments by name."""
        from graphql import FragmentDefinitionNode

        nodes = (one for one in self.document.definitions if isinstance(one, FragmentDefinitionNode))
        return {one.name.value: one for one in nodes}

    @property
    def others(self) -> list[Any]:
        """The values of everything sent with the query."""
        return [self.variables, *self.rest.values()]


def is_graphql(path: str) -> bool:
    """Whether requests to this path are GraphQL, by the name that servers use, or the path is unclear."""
    readings = read_path(path)
    if readings is None:
        words = words_of(path)
        return words is None or any(_NAME.match(word) for word in words)
    return any(bool(segments) and bool(_NAME.match(segments[-1])) for segments in readings)


def is_forges(path: str) -> bool:
    """Whether a GraphQL path is a forge's on any host, or the path is unclear."""
    readings = read_path(path)
    if readings is None:
        return True
    return any(len(segments) > 1 and segments[-2] == "api" and bool(_NAME.match(segments[-1])) for segments in readings)


def read_queries(path: str, content_type: str, body: bytes) -> list[Query] | None:
    """The queries of a request, from its URL and its body; None if it exceeds a limit or cannot be read in one way
    only.

    That is so for a stored query, for text that cannot be parsed, and for a body with two readings.
    """
    query = path.partition("?")[2]
    if len(body) > _MAX_BODY or len(query) > _MAX_BODY or ";" in query:
        return None
    asked = _asked_in_query(query)
    if not body and not asked:
        return None if query else []
    if body:
        in_body = _asked_in_body(content_type, body)
        # Servers merge URL and body, each in its own way (Rails' params). operationName only selects a judged query.
        beside = {base_name(name) for name in parse_qs(query, keep_blank_values=True)} & _FORM_NAMES
        if not in_body or beside - {"operationname"}:
            return None
        asked = in_body
    if len(asked) > _MAX_QUERIES:
        return None
    tokens, queries = _MAX_TOKENS, []
    for text, rest in asked:
        variables = _variables(rest.pop("variables", None))
        # A stored query has no text.
        readable = isinstance(text, str) and len(text) <= _MAX_QUERY and tokens > 0
        document, used = document_of(text, tokens) if readable else (None, 0)
        if document is None or variables is None or any(base_name(name) in _HIDING for name in rest):
            return None
        tokens -= used
        queries.append(Query(document, variables, rest))
    return queries


def _variables(sent: Any) -> dict[str, Any] | None:
    """The variables of a query, also as JSON in a string; None if not every server reads the same ones."""
    if isinstance(sent, list) and len(sent) == 1:  # from a URL
        sent = sent[0]
    if isinstance(sent, str) and sent.strip() not in ("", "null"):
        sent = plain_json(sent)
        return sent if isinstance(sent, dict) else None
    return {} if sent is None or isinstance(sent, str) else sent if isinstance(sent, dict) else None


Asked = tuple[Any, dict[str, Any]]  # a query's text, and everything else sent with it


def _asked_in_query(query: str) -> list[Asked]:
    if not query:
        return []
    parameters = parse_qs(query, keep_blank_values=True, max_num_fields=None)
    if any(base_name(name) in _FORM_NAMES and name not in _PLAIN_NAMES for name in parameters):
        return [(None, {})]  # another spelling of a name, so the request is unclear
    return [
        (text, {name: values for name, values in parameters.items() if name != "query"})
        for text in parameters.get("query", [])
    ]


def _asked_in_body(content_type: str, body: bytes) -> list[Asked] | None:
    """The queries of a body; None if its kind is unknown, or it can be read as another kind."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/graphql":
        return [(body.decode("utf-8", "replace"), {})]
    if kind.startswith("multipart/"):
        return None
    if not is_json(content_type) and _has_form(body):
        return None
    payload = plain_json(body)
    asked: list[Asked] = []
    for one in payload if isinstance(payload, list) else [payload]:
        if not isinstance(one, dict):
            return None
        asked.append((one.get("query"), {name: value for name, value in one.items() if name != "query"}))
        if len(asked) > _MAX_QUERIES:
            return None
    return asked


def _has_form(body: bytes) -> bool:
    """Whether a server that reads forms would find a query in the body. GitHub's own example sends JSON as a form."""
    for pair in re.split("[&;]", body.decode("utf-8", "replace")):
        if base_name(unquote_plus(pair.partition("=")[0])) in _FORM_NAMES:
            return True
    return False
