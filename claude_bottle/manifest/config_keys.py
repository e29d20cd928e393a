"""The keys of a stack's config other than the bottle: secrets, and unknown keys. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from claude_bottle.manifest.fields import is_token_name
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.words import BOTTLE
from claude_bottle.policy.errors import NOT_SHOWN, Finding
from claude_bottle.policy.names.nearest import nearest
from claude_bottle.policy.own_command import own_command

PROJECT = "claude-bottle"


def config_findings(config: Mapping[str, bool], stack: str, named: Collection[str] = ()) -> list[Finding]:
    """Wrong keys, and secrets in the wrong place.

    config: full key to whether its value is encrypted. named: names of secrets that the bottle uses.
    An encrypted secret that nothing names yet is allowed, because a later route may name it.
    """
    return list(_findings(config, stack or "NAME", named))


def _findings(config: Mapping[str, bool], stack: str, named: Collection[str]) -> Iterator[Finding]:
    if config.get(BOTTLE):
        message = (
            "a value in it is encrypted (`secure:`), but would be in plain text in the state and in the agent. Remove"
            f" it from the file, run {own_command(f'secret {stack} MY_TOKEN')}, and name it: token_ref: MY_TOKEN"
        )
        yield Finding(BOTTLE, NOT_SHOWN, message)
    for key in sorted(config):
        project, _, name = key.partition(":")
        if project != PROJECT or key == BOTTLE:
            continue
        first = name.partition(".")[0].partition("[")[0]
        if name not in named and (first in Manifest.model_fields or nearest(name, ["bottle"], 0.8)):
            yield Finding(key, NOT_SHOWN, _misplaced(name, first))
        elif not config[key]:
            if name in named or is_token_name(name):
                message = (
                    "is in plain text in the file; remove it, rotate it at its issuer, then store the new one:"
                    f" {own_command(f'secret {stack} {name}')}"
                )
            else:
                message = f"unknown key; remove it, because only {BOTTLE} and secrets are read"
            yield Finding(key, NOT_SHOWN, message)
        elif name not in named and not is_token_name(name.upper()):
            yield Finding(key, NOT_SHOWN, "no bottle can use a secret of this name; remove this key from the file")


def _misplaced(name: str, first: str) -> str:
    if first in Manifest.model_fields:
        way = name.partition("[")[0]
        inner = way.replace(".", ": {") + ": …" + "}" * way.count(".")
        return f"is not a key at this level; write it under {BOTTLE}: {{{inner}}}"
    return f"unknown key; did you mean {BOTTLE}?"


def mistyped_bottle(config: Collection[str]) -> bool:
    """Whether the bottle has a name that is almost the right one."""
    names = [key.partition(":")[2] for key in config if key.startswith(f"{PROJECT}:")]
    return BOTTLE not in config and any(nearest(name, ["bottle"], 0.8) for name in names)
