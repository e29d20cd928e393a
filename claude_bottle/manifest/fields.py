"""The types of values in a manifest: each says what is wrong with a value, and what is accepted. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from claude_bottle.policy.names.exempt import checked_exempt
from claude_bottle.policy.names.git_upstream import Upstream
from claude_bottle.policy.routes import values

# A token in place of a user name: recognised by its prefix, or as a run of letters and digits too long for a name.
_TOKEN_AS_USER = re.compile(
    r"gh[opusr]_|github_pat_|glpat-|ATATT|ATBB|.*(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{20}"
)
# Debian policy, 5.6.1. apt-get(8) removes a package if its name is followed by `-`.
_APT = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.](=[A-Za-z0-9.+:~-]+)?\Z")
_NPM = re.compile(r"(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*(@[A-Za-z0-9][A-Za-z0-9.+-]*)?\Z")
_RUNTIME = r"^[a-z][a-z0-9._-]{0,40}$"
# Private networks (RFC 1918, 6598, 2544). egress and pipelock refuse all of them.
_PRIVATE = [
    ipaddress.IPv4Network(one)
    for one in ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15"]
]
_NETWORK = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"
_REMOTE = r"^[a-z0-9][a-z0-9._-]{0,62}$"
_PATTERN_NAME = r"^[A-Za-z0-9 _.-]{1,60}$"
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
# The reserved names point the agent to its proxy and its CA. A literal value would bypass them.
RESERVED_ENV = frozenset(
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"]
)
# The image needs these to find its own programs, and the agent to find its home, skills and settings.
IMAGES_ENV = {
    "PATH": "remove it, or add a folder to it in agent.dockerfile (ENV PATH=/opt/tool/bin:$PATH)",
    "HOME": "remove it, because the agent's home volume is mounted there",
}


class Strict(BaseModel):
    """A mapping of the manifest: no other keys than its own, no value of another type, and never changed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def is_token_name(value: object) -> bool:
    """Whether this can be the name of a secret. A credential itself is too long or has other characters."""
    return (
        isinstance(value, str) and len(value) <= 60 and value.upper() == value and bool(values.TOKEN_REF.match(value))
    )


def _proxy(value: str) -> str:
    match = re.fullmatch(r"http://([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:]+\]):([0-9]{1,5})/?", value)
    if "@" in value:
        raise ValueError("a login is a secret; write http://host:port, and its name in upstream_proxy_ref")
    if match is None or not 0 < int(match[2]) < 65536:
        raise ValueError("write http://host:port (http://proxy.corp.example.com:3128)")
    return value.rstrip("/").lower()


def _memory(value: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]*[mg]", value):
        raise ValueError("write megabytes or gigabytes (2g, 512m)")
    return value


def _apt(value: str) -> str:
    if not _APT.match(value):
        raise ValueError("write the name of a Debian package, with =version to pin it (jq, python3-venv=3.13.5-1)")
    return value


def _npm(value: str) -> str:
    if not _NPM.match(value):
        raise ValueError("write the name of an npm package, with @version to pin it (typescript, @scope/tool@1.2.3)")
    return value


def _skill(value: str) -> str:
    name = value.rstrip("/").rpartition("/")[2]
    if not _FOLDER.match(name):
        raise ValueError("write the name of a skill folder (review) or a path to one (./skills/review)")
    return values.plain(value.rstrip("/"))


def _upstream(value: str) -> str:
    if _TOKEN_AS_USER.match(Upstream.parse(value).user):
        raise ValueError("an upstream must not contain a credential; name it with token_ref or identity_file")
    return value


def _token_user(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._][A-Za-z0-9._@+=-]{0,99}", value) or _TOKEN_AS_USER.match(value):
        raise ValueError("write the name that goes with the token (x-token-auth, me@example.com), never the token")
    return value


def _argument(value: str) -> str:
    values.plain(re.sub(r"[\n\t]", "", value))
    return value


def _runtime(value: str) -> str:
    if not re.fullmatch(_RUNTIME, value):
        raise ValueError("write the name of a runtime of the engine (runsc): small letters, digits, `.`, `_`, `-`")
    return value


def _network(value: str) -> str:
    if not re.fullmatch(_NETWORK, value):
        raise ValueError("write the name of a Docker network (my-network): letters, digits, `.`, `_`, `-`")
    return value


def _pool(value: str) -> str:
    how = "write a private IPv4 network of /24 or larger, with its first address (10.213.0.0/16)"
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError:
        raise ValueError(how) from None
    if network.prefixlen > 24 or not any(network.subnet_of(one) for one in _PRIVATE):
        raise ValueError(how)
    return str(network)


def _remote(value: str) -> str:
    if not re.fullmatch(_REMOTE, value):
        raise ValueError("write a short name (project): small letters, digits, `.`, `_`, `-`, 63 at most")
    return value


def _pattern_name(value: str) -> str:
    if not re.fullmatch(_PATTERN_NAME, value):
        raise ValueError("write a short name (ticket): letters, digits, blanks, `.`, `_`, `-`, 60 at most")
    return value


Host = Annotated[str, AfterValidator(values.host_pattern)]
Plain = Annotated[str, AfterValidator(values.plain)]  # names and texts that are shown to people
Argument = Annotated[str, AfterValidator(_argument)]  # of a command; may contain line breaks
EnvName = Annotated[str, AfterValidator(values.env_name)]
TokenRef = Annotated[str, AfterValidator(values.token_ref)]
ProxyUrl = Annotated[str, AfterValidator(_proxy)]
Memory = Annotated[str, AfterValidator(_memory)]
AptPackage = Annotated[str, AfterValidator(_apt)]
NpmPackage = Annotated[str, AfterValidator(_npm)]
TokenUser = Annotated[str, AfterValidator(_token_user)]
GitUrl = Annotated[str, AfterValidator(_upstream)]
Skill = Annotated[str, AfterValidator(_skill)]
InnerNetwork = Annotated[str, AfterValidator(checked_exempt)]
Until = Annotated[str, AfterValidator(values.until)]
# The pattern is for editors that read the JSON Schema.
Runtime = Annotated[str, AfterValidator(_runtime), Field(json_schema_extra={"pattern": _RUNTIME})]
NetworkName = Annotated[str, AfterValidator(_network), Field(json_schema_extra={"pattern": _NETWORK})]
SubnetPool = Annotated[str, AfterValidator(_pool)]
RemoteName = Annotated[str, AfterValidator(_remote), Field(json_schema_extra={"pattern": _REMOTE})]
PatternName = Annotated[str, AfterValidator(_pattern_name), Field(json_schema_extra={"pattern": _PATTERN_NAME})]
