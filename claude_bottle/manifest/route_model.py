"""A route of the manifest, generated from the declarations of its keys (claude_bottle/policy/routes/route.py). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, create_model, model_validator

from claude_bottle.manifest.fields import Strict
from claude_bottle.policy.routes.keys import Choice, Flag, Key, Listed
from claude_bottle.policy.routes.route import KEYS


def _field(key: Key) -> tuple[Any, Any]:
    """Type and field of a key for pydantic."""
    one: Any = Annotated[str, AfterValidator(key.check)] if key.check else str
    kind: Any = list[one] if isinstance(key, Listed) else one
    if isinstance(key, Flag | Choice):
        kind = Literal[key.options] if key.options else bool
    taken = kind
    if key.default is None and not key.required:
        kind = kind | None
    if key.also:
        other, read = key.also
        taken |= one if other is str else other
        kind = Annotated[kind, BeforeValidator(read, json_schema_input_type=taken)]
    return kind, Field(... if key.required else key.default, description=key.doc, **key.bounds)


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
    _Keys = create_model("_Keys", __base__=Strict, **{name: _field(key) for name, key in KEYS.items()})


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
