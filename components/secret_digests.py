"""Says whether a secret has another value than before, and nothing else of it: a keyed digest of each."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

import pulumi

from claude_bottle.engines.component_types import formerly
from claude_bottle.host.type_tokens import token

_WHAT = b"claude-bottle: the value of a secret\0"


class SecretDigests(pulumi.ComponentResource):
    """Registers nothing but its input `digests`: name of a secret to a digest that only the stack's own key can make.

    key: a secret of the stack that nobody can guess and that stays as it is. A preview has both the digests of the last
    `up` and those of today; the plan in words compares them (claude_bottle/plan/diff.py).
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
    """Hex; equal values under two names have two digests, and without the key no value can be tried."""
    said = _WHAT + name.encode() + b"\0" + value.encode()
    return hmac.new(key.encode(), said, hashlib.sha256).hexdigest()[:32]
