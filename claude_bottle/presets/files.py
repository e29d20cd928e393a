"""The presets that `use` of a manifest can name, each a file of stacks/presets, as a strict typed model."""

from __future__ import annotations

from functools import cache
from typing import Literal

from pydantic import Field
from ruamel.yaml import YAML

from claude_bottle import ROOT
from claude_bottle.manifest.fields import AptPackage, EnvName, Host, NpmPackage, Plain, Strict

FOLDER = ROOT / "stacks/presets"
Follow = Literal["links", "redirects"]  # as in policy/routes/follow.py
Client = Literal["pip", "npm", "go", "cargo", "maven", "apt"]


class Preset(Strict):
    """ask: the client on the owner's machine that reports the hosts. beside: last components of a reported path next to
    which files are served, so the path above them gets a route too. signed: whether http:// is allowed, because the
    packages are signed. env: values may refer to the answer, such as `{index}`. Every route is for GET and HEAD.
    """

    description: Plain = Field(max_length=100)
    ask: Client | None = None
    beside: list[str] = Field([])
    signed: bool = False
    hosts: list[Host] = Field([])
    follow: Follow | None = None
    apt: list[AptPackage] = Field([])
    npm: list[NpmPackage] = Field([])
    env: dict[EnvName, Plain] = Field({})


@cache
def preset(name: str) -> Preset:
    """The preset of that name, a PresetName."""
    return Preset.model_validate(YAML(typ="safe", pure=True).load((FOLDER / f"{name}.yaml").read_text("utf-8")))
