"""Plain-text secrets in a manifest: they would be in the state, in previews, and visible to the agent. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.rules.ruleset import RuleSet
from claude_bottle.dlp.text.readings import text_views
from claude_bottle.dlp.tokens.reflection import TokenMask
from claude_bottle.manifest.fields import is_token_name
from claude_bottle.manifest.words import BOTTLE
from claude_bottle.policy.errors import NOT_SHOWN, Finding
from claude_bottle.policy.routes.injection import MIN_TOKEN_LENGTH

# RFC 3986, 3.2.1: user information of an authority. For localhost a password protects little, so it is ignored.
_WITH_PASSWORD = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s:@'\"]*:([^/\s@'\"]+)@(?!(?:localhost|127\.|\[::1\]))[^/\s]"
)
# A variable, or a word in angle brackets, is not a password but stands for one.
_STANDS_FOR = re.compile(r"\$|<|\{|\*+\Z|x+\Z|placeholder\Z|password\Z", re.IGNORECASE)
# Public keys; and names of secrets, whose own check says better what to write there.
_LEFT_OUT = re.compile(r"git\[\d+\]\.known_hosts\Z|.*\.(token|upstream_proxy)_ref\Z")
_INSTEAD = "give it to egress with token_ref instead"


def secrets_in(raw: Mapping[Any, Any], known: Mapping[str, str], disabled: list[str]) -> Iterator[Finding]:
    """Every text of a manifest, including keys, that contains a secret. Values are never shown.

    known: name to value of the bottle's own. disabled: DLP rules that the owner has disabled.
    """
    texts = [(path, text) for path, text in _texts(raw) if not _LEFT_OUT.match(path)]
    own = {name: value for name, value in known.items() if len(value) >= MIN_TOKEN_LENGTH}
    mask = TokenMask(own.values())
    reported = set()
    for path, text in texts:
        if own and mask.found_in(text.encode(errors="surrogatepass")):
            names = [name for name, value in own.items() if TokenMask([value]).found_in(text.encode())]
            reported.add(path)
            yield Finding(path, NOT_SHOWN, f"holds the value of {' and '.join(names)}; {_INSTEAD}")
        elif any(not _STANDS_FOR.match(password) for password in _WITH_PASSWORD.findall(text)):
            reported.add(path)
            yield Finding(path, NOT_SHOWN, f"holds a URL with a password; {_INSTEAD}")
    yield from _by_rules([(path, text) for path, text in texts if path not in reported], disabled)


def token_names(raw: Mapping[Any, Any]) -> set[str]:
    """Every name of a secret in a manifest, including those in routes that are not valid."""
    names = {text for path, text in _texts(raw) if path.endswith((".token_ref", ".upstream_proxy_ref"))}
    return {name for name in names if is_token_name(name)}


def _by_rules(texts: list[tuple[str, str]], disabled: list[str]) -> Iterator[Finding]:
    dlp = _without(frozenset(disabled))
    lines = {path: f'{path.rpartition(".")[2]}="{text}"' for path, text in texts}
    # Scanning all at once is ten times as fast as one by one.
    if not dlp.look(text_views("\n".join(lines.values()).encode(errors="replace"))):
        return
    for path, line in lines.items():
        if finding := dlp.look(text_views(line.encode(errors="replace"))):
            yield Finding(path, NOT_SHOWN, f"looks like a secret (rule {finding.rule}); {_INSTEAD}")


@lru_cache(maxsize=8)
def _without(disabled: frozenset[str]) -> Dlp:
    """Every rule but these. Kept, because a page checks a manifest for each proposal that it shows."""
    try:
        return Dlp(RuleSet(disabled=disabled, fast=False))
    except ValueError:  # no such rule, which is reported elsewhere
        return Dlp(RuleSet(fast=False))


def _texts(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Key path and text of every value, and of every key of a mapping with the path of the mapping."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, f"{path}.{key}" if path else str(key))
            yield path or BOTTLE, str(key)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(item, f"{path}[{index}]")
    elif value is not None and not isinstance(value, bool):
        yield path, str(value)
