"""The presets: what `use` of a manifest stands for, each a file of stacks/presets, as a strict typed model."""

from __future__ import annotations

from functools import cache
from typing import Literal, get_args

from pydantic import Field
from ruamel.yaml import YAML

from claude_bottle import ROOT
from claude_bottle.manifest.fields import AptPackage, EnvName, Host, NpmPackage, Plain, Strict
from claude_bottle.manifest.model import PresetName

FOLDER = ROOT / "stacks/presets"
NAMES: tuple[str, ...] = get_args(PresetName)
Follow = Literal["links", "redirects"]  # as policy/routes/follow.py
Client = Literal["pip", "npm", "go", "cargo", "maven", "apt"]


class Preset(Strict):
    """ask: the client of the owner's machine that says which hosts are meant. beside: last parts of the path that it
    says, beside which files are: what is above them gets a route too. signed: whether http:// will do, for what comes
    is signed. env: values may hold what the client says, as `{index}`. Every route is for GET and HEAD.
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
    """The preset of that name, one of NAMES."""
    return Preset.model_validate(YAML(typ="safe", pure=True).load((FOLDER / f"{name}.yaml").read_text("utf-8")))
