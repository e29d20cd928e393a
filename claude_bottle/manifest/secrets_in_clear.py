"""Secrets that stand in a manifest in clear: they would be in the state, in previews, and with the agent. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.rules.ruleset import RuleSet
from claude_bottle.dlp.text.readings import text_views
from claude_bottle.dlp.tokens.reflection import TokenMask
from claude_bottle.manifest.fields import is_token_name
from claude_bottle.policy.errors import NOT_SHOWN, Finding
from claude_bottle.policy.routes.injection import MIN_TOKEN_LENGTH

# RFC 3986, 3.2.1: user information of an authority. On this machine itself a password protects little.
_WITH_PASSWORD = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s:@'\"]*:([^/\s@'\"]+)@(?!(?:localhost|127\.|\[::1\]))[^/\s]"
)
# A variable or a word in angle brackets stands for a password.
_STANDS_FOR = re.compile(r"\$|<|\{|\*+\Z|x+\Z|placeholder\Z|password\Z", re.IGNORECASE)
# Keys that anybody may know; names, whose own check knows better what to write there.
_LEFT_OUT = re.compile(r"git\[\d+\]\.known_hosts\Z|.*\.(token|upstream_proxy)_ref\Z")
_INSTEAD = "give it to egress with token_ref instead"


def secrets_in(raw: Mapping[Any, Any], known: Mapping[str, str], disabled: list[str]) -> Iterator[Finding]:
    """Every text of a manifest, keys too, that holds a secret. Values are never shown.

    known: name to value of the bottle's own. disabled: rules of DLP that the owner has taken out.
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
    """Every name of a secret that a manifest has, also in a route that is not valid."""
    names = {text for path, text in _texts(raw) if path.endswith((".token_ref", ".upstream_proxy_ref"))}
    return {name for name in names if is_token_name(name)}


def _by_rules(texts: list[tuple[str, str]], disabled: list[str]) -> Iterator[Finding]:
    try:
        dlp = Dlp(RuleSet(disabled=disabled, fast=False))
    except ValueError:  # no such rule, which is told elsewhere
        dlp = Dlp(RuleSet(fast=False))
    lines = {path: f'{path.rpartition(".")[2]}="{text}"' for path, text in texts}
    # All at once is ten times as fast as one by one.
    if not dlp.look(text_views("\n".join(lines.values()).encode(errors="replace"))):
        return
    for path, line in lines.items():
        if finding := dlp.look(text_views(line.encode(errors="replace"))):
            yield Finding(path, NOT_SHOWN, f"looks like a secret (rule {finding.rule}); {_INSTEAD}")


def _texts(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Key path and text of everything; of a mapping's keys, the path of the key."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, f"{path}.{key}" if path else str(key))
            yield path or "claude-bottle:bottle", str(key)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(item, f"{path}[{index}]")
    elif value is not None and not isinstance(value, bool):
        yield path, str(value)
