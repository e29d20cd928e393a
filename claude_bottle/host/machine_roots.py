"""CA roots that this machine trusts beyond the distribution's. If it has some, its network may re-sign TLS.

Standard library only, because set-up imports it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path("/usr/local/share/ca-certificates")  # Debian's, update-ca-certificates(8)
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def machine_roots() -> dict[Path, list[str]]:
    """The certificates as PEM, by file; empty if CLAUDE_BOTTLE_EXTRA_ROOTS=off."""
    if os.environ.get("CLAUDE_BOTTLE_EXTRA_ROOTS") == "off":
        return {}
    roots = {file: _PEM.findall(_text(file)) for file in sorted(FOLDER.rglob("*.crt"))}
    return {file: pems for file, pems in roots.items() if pems}


def not_named(names: Iterable[str], base: Path) -> list[Path]:
    """The files with a root that no file of pipelock.ca_files contains. base: folder of relative names."""
    named = {_same(pem) for name in names for pem in _PEM.findall(_text(base / Path(name).expanduser()))}
    return [file for file, pems in machine_roots().items() if not {_same(pem) for pem in pems} <= named]


def advice(files: list[Path]) -> str:
    """Advice for the owner about these files."""
    shown = ", ".join(map(str, files[:3])) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    return (
        f"this machine trusts additional roots ({shown}), which no bottle trusts by itself. If your network re-signs"
        " TLS, copy the file beside the stack file and name it in pipelock.ca_files; until then hosts are refused with"
        " upstream_not_trusted"
    )


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def _same(pem: str) -> str:
    return "".join(pem.split())
