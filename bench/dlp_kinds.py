"""Samples of secrets that no rule of this project has made: from bench/dlp_kinds.tsv, which names a source for each."""

from __future__ import annotations

import base64
import random
import re
import string
from dataclasses import dataclass
from pathlib import Path

from addons.dlp_shapes import checksum_of

KINDS = Path(__file__).with_suffix(".tsv")
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
CLASSES = {
    "hex": "0123456789abcdef",
    "HEX": "0123456789ABCDEF",
    "digit": string.digits,
    "small": string.ascii_lowercase,
    "CAPS": string.ascii_uppercase,
    "letters": string.ascii_letters,
    "lower": string.ascii_lowercase + string.digits,
    "upper": string.ascii_uppercase + string.digits,
    "alnum": string.ascii_letters + string.digits,
    "w": string.ascii_letters + string.digits + "_",
    "word": string.ascii_letters + string.digits + "_-",
    "b64": string.ascii_letters + string.digits + "+/",
    "base32": _BASE32,
    "b32": _BASE32.lower(),
    "bech32": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",  # BIP-173, in capitals as age has it
}
_PLACE = re.compile(r"\{(\w+)(?::(\d+))?\}|\{\{|\}\}|\\n")
_CHECKED = re.compile(r"(gh[opsur]|npm)_")


@dataclass(frozen=True)
class Kind:
    """One kind of secret."""

    name: str
    shape: str
    source: str

    def sample(self, rng: random.Random) -> str:
        """A made-up one, valid nowhere; with its checksum where the vendor documents one."""

        def filled(match: re.Match[str]) -> str:
            name, count = match.groups()
            if name is None:
                return {"{{": "{", "}}": "}"}.get(match.group(), "\n")
            if name == "snowflake":  # the bot's id: 18 digits
                return base64.b64encode(str(rng.randrange(10**17, 10**18)).encode()).decode()
            return "".join(rng.choice(CLASSES[name]) for _ in range(int(count)))

        text = _PLACE.sub(filled, self.shape)
        return text[:-6] + checksum_of(text[-36:-6].encode()).decode() if _CHECKED.match(text) else text


def kinds() -> list[Kind]:
    """All of them."""
    lines = [line for line in KINDS.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return [Kind(*line.split("\t")) for line in lines]
