"""What an agent is answered that calls a tool with arguments that it does not have."""

from __future__ import annotations

from typing import Any

import pytest
from mistakes import schema

from sidecar_images.supervise.arguments import wrong_arguments

WHY = {"justification": "to build"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "justification is required (Why you need it, for the owner)"),
        ({**WHY, "hots": "a.example.com"}, "hots is unknown (did you mean host?)"),
        ({**WHY, "x" * 5000: 1}, "x is unknown; its arguments"),
        ({**WHY, "methods": "GET"}, 'methods is not a list of text: write ["GET"]; its arguments'),
        ({**WHY, "methods": [1]}, "methods is not a list of text"),
        ({**WHY, "host": None}, "host is not text"),
        ({**WHY, "refused": "a word"}, "refused is not an object"),
        ({"justification": 3, "host": 4}, "justification is not text; host is not text"),
        ({**WHY, "justifcation": "twice"}, "justifcation is unknown (did you mean justification?)"),
    ],
)
def test_the_argument_is_named_with_those_that_are_accepted(given: dict[str, Any], words: str) -> None:
    said = wrong_arguments("egress-block", given, schema("egress-block"))
    assert said is not None
    assert words in said
    assert said.endswith("its arguments: justification (required), refused, host, path, methods, forge, proposal_id")
    assert len(said) < 500


@pytest.mark.parametrize(
    "more", [{}, {"refused": None}, {"refused": {"host": "a"}}, {"refused": '{"host": "a"}'}, {"methods": '["GET"]'}, {"path": ["/x"]}]
)  # fmt: skip
def test_what_is_accepted(more: dict[str, Any]) -> None:
    """Some clients send lists and objects as JSON; FastMCP reads them (func_metadata.pre_parse_json)."""
    assert wrong_arguments("egress-block", {**WHY, **more}, schema("egress-block")) is None
    assert wrong_arguments("list-egress-routes", {}, {"properties": {}}) is None
