"""A route of the manifest, generated from the declarations of its keys (claude_bottle/policy/routes/route.py). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import create_model, model_validator

from claude_bottle.manifest.fields import Strict
from claude_bottle.manifest.key_fields import key_fields
from claude_bottle.policy.routes.route import KEYS

if TYPE_CHECKING:

    class _Keys(Strict):
        """What the owner's side reads by name; the fields are those of KEYS."""

        host: str
        path: list[str]
        methods: list[str]
        auth_scheme: str | None
        token_ref: str | None
        placeholder: list[str]
        description: str
        until: str | None
        follow: str | None
        forge: list[str]

else:
    _Keys = create_model("_Keys", __base__=Strict, **key_fields(KEYS))


class EgressRoute(_Keys):
    """One way out: a host, and what may be asked of it."""

    @model_validator(mode="after")
    def _together(self) -> EgressRoute:
        words = dict(self)
        for key in KEYS.values():
            if wrong := key.needs(words):
                raise ValueError(wrong)
        return self

    @property
    def scheme(self) -> str | None:
        """auth_scheme with its default; None without a token."""
        return (self.auth_scheme or "bearer") if self.token_ref else None

    @property
    def words(self) -> dict[str, Any]:
        """The values of its keys, including the default scheme."""
        return {**dict(self), "auth_scheme": self.scheme}
