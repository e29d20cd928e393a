"""Refusals that no approval changes, and the alternative for each: shown before the owner is asked. Pure."""

from __future__ import annotations

_BODY = (
    "a credential may be in what pipelock cannot read to its end; send it plain, with no password, or in smaller parts"
)
_OWNER = "only the owner can mend that; tell them"

# A refusal's reason to the alternative. For any other reason, a route, a host or one content can be approved.
_INSTEAD = {
    "git_push": "push to the git-gate remote, git://git-gate/<name>.git",
    "port_not_allowed": "use https on port 443, or http on port 80",
    "tls_required": "use https",
    "ambiguous_path": "write the path as every server reads it: no dot segment, no encoded slash in its declared part",
    "ambiguous_request": "leave that header, parameter or field out; only the owner can name a header in allow_headers",
    "unclear_forge_call": "send it as forges' own clients do: JSON with no name twice and nothing of it in the URL, or "
    "a form of plain fields, of at most 1 MB; in GraphQL a plain query with variables, no quotation mark in a comment",
    "other_credential": "leave it out; egress injects the owner's credential. Only the owner can name own_credentials: "
    "pass on the route",
    "cannot_sign": "only the owner can name another route, region or service for the keys of AWS",
    "repository_not_declared": "ask within the repository that is named, or by REST; only the owner can name another, "
    "in repositories of the route",
    "misplaced_placeholder": "leave it out there; only the owner can name a placeholder on another route",
    "host_mismatch": "send the same name in CONNECT, SNI and Host",
    "bad_host": "use the host's name",
    "token_in_request": "take the credential out; egress puts it in by itself",
    "token_missing": "the owner has to set the secret that the route names",
    "credential_ended": "try again without it",
    "too_large": "send it in smaller parts",
    "busy": "try again, with fewer large requests at a time",
    "url_too_long": "send a shorter URL",
    "record_full": "the owner has to take the record over (bottle audit collect NAME)",
    "no_route_table": _OWNER,
    "no_policy": _OWNER,
    "internal_error": _OWNER,
    "starting": "try again in some seconds",
    "next_hop": "pipelock does not answer; try again in a minute, and tell the owner if it lasts (bottle repair NAME)",
    "ssrf_private_ip": "the name leads to an inner address; only the owner can name it, in "
    "pipelock.allow_private_addresses or pipelock.internal_exempt",
    "upstream_not_trusted": "only the owner can name a root, in pipelock.ca_files",
    "inbound_instructions": "the answer tells an agent what to do; only the owner can let it in (pipelock.inbound)",
    "unresolvable": "the name does not resolve; look at how it is spelled",
    "unreadable_response": "ask for it in another encoding",
    "unreadable_multipart": _BODY,
    "unreadable_encoding": _BODY,
    "nested_too_deep": _BODY,
    "too_much_to_scan": _BODY,
    "too_large_to_scan": _BODY,
}
_IN_HEAD = (
    "take the secret out; in a header, a signed address, a body that passes in pieces, or where much is found, nothing "
    "can be let through once; what is no secret can go in a short body, and a credential is put in by egress where the "
    "owner names it (token_ref)"
)


def instead(reason: str, content: str = "") -> str:
    """The alternative for a refusal that no approval changes; "" if one can be approved. content: the refusal's
    digest."""
    if reason == "dlp_match":
        return "" if content else _IN_HEAD
    return _INSTEAD.get(reason, "")
