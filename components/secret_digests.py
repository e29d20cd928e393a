"""Shows whether a secret's value has changed, and nothing else about it, by a keyed digest of each."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

import pulumi

from claude_bottle.engines.component_types import formerly
from claude_bottle.host.type_tokens import token

_WHAT = b"claude-bottle: the value of a secret\0"


class SecretDigests(pulumi.ComponentResource):
    """Registers only its input `digests`: name of a secret to a digest that cannot be made without the stack's key.

    key: a secret of the stack that nobody can guess and that stays the same. A preview has both the digests of the last
    `up` and the current ones; the plan compares them (claude_bottle/plan/diff.py).
    """

    def __init__(
        self,
        name: str,
        secrets: Mapping[str, pulumi.Input[str]],
        key: pulumi.Output[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        digests: dict[str, pulumi.Output[str]] = {}
        for secret, value in secrets.items():
            digests[secret] = pulumi.Output.unsecret(
                pulumi.Output.all(key, secret, value).apply(lambda of: digest(*of))
            )
        super().__init__(token("SecretDigests"), name, {"digests": digests}, formerly(opts, "secrets:SecretDigests"))
        self.register_outputs({})


def digest(key: str, name: str, value: str) -> str:
    """32 hex digits. Equal values under two names have two digests, and without the key no value can be guessed."""
    said = _WHAT + name.encode() + b"\0" + value.encode()
    return hmac.new(key.encode(), said, hashlib.sha256).hexdigest()[:32]
