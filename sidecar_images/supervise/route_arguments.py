"""The parameters with which an agent asks for a route: the keys of a route that it may ask for. Pure."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import Field

from claude_bottle.policy.declared.keys import Flag, Key, Listed
from claude_bottle.policy.routes.route import KEYS

Tool = TypeVar("Tool", bound=Callable[..., Any])


def asks_for_a_route(tool: Tool) -> Tool:
    """The tool with these parameters in place of its **asked, before the last one. The SDK reads the signature."""
    signature = inspect.signature(tool, eval_str=True)
    *first, last, _ = signature.parameters.values()
    asked = [_parameter(key) for key in KEYS.values() if key.asks]
    tool.__signature__ = signature.replace(parameters=[*first, *asked, last])  # type: ignore[attr-defined]
    return tool


def _parameter(key: Key) -> inspect.Parameter:
    kind: Any = list[str] if isinstance(key, Listed) else bool if isinstance(key, Flag) else str
    default = "" if kind is str else None
    optional: Any = kind if kind is str else kind | None
    annotation = Annotated[optional, Field(description=key.asks)]
    return inspect.Parameter(key.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation)
