"""Checks of a route's values. Each returns the accepted form, or raises ValueError with what to write. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from claude_bottle.policy.forge.capabilities import CAPABILITIES
from claude_bottle.policy.names.host_words import host_mistake
from claude_bottle.policy.names.hosts import canonical_pattern
from claude_bottle.policy.names.nearest import did_you_mean
from claude_bottle.policy.routes.expiry import parse_until
from claude_bottle.policy.routes.follow import LINKS, READS
from claude_bottle.policy.routes.injection import auth_header
from claude_bottle.policy.routes.targets import is_prefix

DEFAULT_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# RFC 9110, 16.1.1, and RFC 7237, which filled the IANA HTTP Method Registry: without CONNECT, which is a tunnel, and
# TRACE, which echoes credentials. No client sends PRI, which begins the first line of HTTP/2 (RFC 9113, 3.4).
METHODS = (
    *("ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "COPY", "DELETE", "GET", "HEAD", "LABEL", "LINK"),
    *("LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MKREDIRECTREF", "MKWORKSPACE", "MOVE", "OPTIONS"),
    *("ORDERPATCH", "PATCH", "POST", "PROPFIND", "PROPPATCH", "PUT", "REBIND", "REPORT", "SEARCH", "UNBIND"),
    *("UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL"),
    # Unregistered, but in use: caches take PURGE (manuals of Fastly and Squid); QUERY is an IETF draft.
    *("PURGE", "QUERY"),
)
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
TOKEN_REF = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")
# A long part between underscores that mixes letters and digits is no word. Tokens of GitHub, Stripe, npm, AWS and
# others look like that, and have only characters that a name may have.
_TOKEN_VALUE = re.compile(r"(?:.*_)?(?=[^_]*[0-9])(?=[^_]*[A-Za-z])[^_]{16,}(?:_.*)?\Z")


def host_pattern(value: str) -> str:
    """A host, or `*.` and a name."""
    try:
        return canonical_pattern(value)
    except ValueError as error:
        if (mistake := host_mistake(value)) is not None:
            raise ValueError(mistake) from None
        raise ValueError(
            f"{error}; write an exact name (api.example.com) or a leading wildcard (*.example.com)"
        ) from None


def path_prefix(value: str) -> str:
    """A path prefix of whole segments."""
    if glob := re.search(r"[*?{]", value):
        above = value[: glob.start()].rpartition("/")[0] or "/"
        instead = f"{above} (it covers all paths below it)" if above.startswith("/") else "/repos/acme"
        if above == "/":  # the whole host; suggesting it because it is nearest would be too wide
            instead = "each first segment in full (/repos), or / for every path of the host"
        raise ValueError(f"a path is a prefix of whole segments, not a glob; write {instead}")
    if not is_prefix(value):
        raise ValueError(
            "write a plain absolute path prefix (/repos/acme), without dot segments or percent encoding; only a slash"
            " within a name is written %2F (/api/v4/projects/acme%2Fsite)"
        )
    return value


def method(value: str) -> str:
    """An HTTP method, in upper case."""
    if value.upper() not in METHODS:
        raise ValueError(f"not an HTTP method that a route can allow; usual ones: {', '.join(DEFAULT_METHODS)}")
    return value.upper()


def token_ref(value: str) -> str:
    """The name of a secret."""
    if not TOKEN_REF.match(value):
        raise ValueError("write the name of a secret (GITHUB_TOKEN), never its value")
    if _TOKEN_VALUE.match(value):
        raise ValueError(
            "looks like a secret itself; remove it from the file and rotate it at its issuer. Then store the new one:"
            " bottle secret NAME GITHUB_TOKEN asks for it, and token_ref: GITHUB_TOKEN names it"
        )
    return value


def env_name(value: str) -> str:
    """The name of an environment variable."""
    if not ENV_NAME.match(value) or len(value) > 100:
        raise ValueError("write the name of an environment variable (GH_TOKEN)")
    return value


def auth_scheme(value: str) -> str:
    """A scheme of injection."""
    if not auth_header(value):
        raise ValueError("write bearer, basic, header:<Name> or aws-sigv4:<region>/<service> (aws-sigv4:eu-west-1/s3)")
    return value


def header(value: str) -> str:
    """The name of a header, in lower case."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,63}", value) or auth_header(f"header:{value}") == "":
        raise ValueError("write the name of a header (X-HTTP-Method-Override), none that frames or routes a message")
    return value.lower()


def capability(value: str) -> str:
    """A capability of a forge."""
    if value not in CAPABILITIES:
        near = did_you_mean(value, CAPABILITIES)
        raise ValueError(f"write one or more of {', '.join(CAPABILITIES)}{near}")
    return value


def repository(value: str) -> str:
    """A repository of GitHub, in lower case."""
    if not re.fullmatch(r"[A-Za-z0-9-]{1,100}/[A-Za-z0-9._-]{1,100}", value):
        raise ValueError("write owner and name of a repository (acme/project)")
    return value.lower()  # GitHub's names are case-insensitive


def plain(value: str) -> str:
    """Text that is shown to people."""
    if not value.isprintable():
        raise ValueError("write it without control characters, which could draw on a terminal")
    return value


def until(value: str) -> str:
    """A UTC time."""
    try:
        parse_until(value)
    except ValueError:  # without quotes, YAML parses a time, and Pulumi writes it differently
        raise ValueError('write a UTC time, in quotes: "2026-01-31T12:00:00Z"') from None
    return value


def several(value: object) -> object:
    """A single text as a list."""
    return [value] if isinstance(value, str) else value


def followed(value: object) -> object:
    """`follow: true` as its word; false as None."""
    return {True: LINKS, False: None}[value] if isinstance(value, bool) else value


# Why a key conflicts with the rest of its route, which has the manifest's names; "" if it does not.


def scheme_needs(route: Mapping[str, Any]) -> str:
    """For auth_scheme."""
    alone = route["auth_scheme"] and not route["token_ref"]
    return "auth_scheme needs a token_ref; write token_ref: GITHUB_TOKEN, or remove auth_scheme" if alone else ""


def token_needs(route: Mapping[str, Any]) -> str:
    """For token_ref."""
    words = "a token goes to an exact host only (host: api.example.com), because others may own a name below *."
    return words if route["token_ref"] and route["host"].startswith("*.") else ""


def placeholder_needs(route: Mapping[str, Any]) -> str:
    """For placeholder."""
    alone = route["placeholder"] and not route["token_ref"]
    return "placeholder needs a token_ref, because egress replaces the placeholder with that token" if alone else ""


def follow_needs(route: Mapping[str, Any]) -> str:
    """For follow."""
    if route["follow"] and not set(route["methods"]) <= {*READS}:
        return "write methods: [GET, HEAD] beside follow, so that no answer holds what the agent wrote there"
    if route["follow"] and route["token_ref"]:
        return "follow is for routes without token_ref, whose answers anybody gets; write one or the other"
    return ""


def repositories_need(route: Mapping[str, Any]) -> str:
    """For repositories."""
    words = (
        "repositories is for GraphQL: write path: [/graphql] on this route, and the rest on a route of its own,"
        " where path holds REST to a repository"
    )
    by_graphql = route["path"] and all("graphql" in path.lower() for path in route["path"])
    return words if route["repositories"] and not by_graphql else ""
