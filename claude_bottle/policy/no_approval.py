"""Refusals that no approval changes, and the alternative for each: shown before the owner is asked. Pure."""

from __future__ import annotations

_BODY = (
    "pipelock cannot read this body to its end to scan it for credentials; send it uncompressed, without a password,"
    " or in smaller parts"
)
_OWNER = "only the owner can fix that; report it to them"

# A refusal's reason to the alternative. For any other reason, a route, a host or one content can be approved.
_INSTEAD = {
    "git_push": "push to the git-gate remote, git://git-gate/<name>.git",
    "port_not_allowed": "use https on port 443, or http on port 80",
    "tls_required": "use https",
    "ambiguous_path": "write the path as every server reads it: no dot segment, no encoded slash in its declared part",
    "ambiguous_request": "remove that header, parameter or field; only the owner can name a header in allow_headers",
    "unclear_forge_call": "send it as forges' own clients do: JSON with no name twice and nothing of it in the URL, "
    "or a form of plain fields, 256 KB at most; GraphQL: a plain query with variables, no quotation mark in a comment",
    "other_credential": "remove it; egress injects the owner's credential. Only the owner can name own_credentials: "
    "pass on the route",
    "cannot_sign": "only the owner can name another route, region or service for the keys of AWS",
    "repository_not_declared": "ask within the repository that is named, or by REST; only the owner can name another, "
    "in repositories of the route",
    "misplaced_placeholder": "remove it there; only the owner can name a placeholder on another route",
    "host_mismatch": "send the same name in CONNECT, SNI and Host",
    "bad_host": "use the host's name",
    "token_in_request": "remove the credential; egress injects it",
    "token_missing": "the owner has to set the secret that the route names",
    "credential_ended": "try again without it",
    "too_large": "send it in smaller parts",
    "busy": "try again, with fewer large requests at a time",
    "url_too_long": "send a shorter URL",
    "record_full": "the owner has to collect the record (bottle audit collect NAME)",
    "no_route_table": _OWNER,
    "no_policy": _OWNER,
    "internal_error": _OWNER,
    "starting": "try again in some seconds",
    "next_hop": "pipelock does not answer; try again in a minute, and report it to the owner if it lasts (bottle"
    " repair NAME)",
    "ssrf_private_ip": "the name resolves to an internal address; only the owner can allow it, in "
    "pipelock.allow_private_addresses or pipelock.internal_exempt",
    "upstream_not_trusted": "only the owner can add a root, in pipelock.ca_files",
    "inbound_instructions": "the answer holds instructions to an agent; only the owner can allow it (pipelock.inbound)",
    "unresolvable": "the name does not resolve; check its spelling",
    "unreadable_response": "ask for it in another encoding",
    "unreadable_multipart": _BODY,
    "unreadable_encoding": _BODY,
    "nested_too_deep": _BODY,
    "too_much_to_scan": _BODY,
    "too_large_to_scan": _BODY,
}
_IN_HEAD = (
    "remove the secret. A finding in a header, a signed address or a streamed body, or one of many, cannot be allowed"
    " once. Send a value that is not a secret in a short body. egress injects a credential where the owner names it"
    " (token_ref)"
)


def instead(reason: str, content: str = "") -> str:
    """The alternative for a refusal that no approval changes; "" if one can be approved. content: the refusal's
    digest."""
    if reason == "dlp_match":
        return "" if content else _IN_HEAD
    return _INSTEAD.get(reason, "")
