"""Renamed keys of the manifest: the old name works for one release, with a hint. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from claude_bottle.policy.errors import NOT_SHOWN, Finding

STILL_WORKS = "the old name works until the next release"


@dataclass(frozen=True)
class Renamed:
    """within: path of the mapping; [] stands for each entry of a list. becomes: old values to current ones."""

    within: str
    old: str
    new: str
    becomes: Mapping[str, bool] = field(default_factory=dict, hash=False)


RENAMED = (
    Renamed("pipelock", "trusted", "allow_private_addresses"),
    Renamed("pipelock", "upstream_roots", "ca_files"),
    Renamed("pipelock", "revocation_lists", "crl_files"),
    Renamed("git[]", "force", "allow_force_push", {"never": False, "allow": True}),
    Renamed("git[]", "deletes", "allow_deletions", {"never": False, "allow": True}),
    Renamed("git[]", "max_blob_mb", "max_file_mb"),
    Renamed("git[]", "review", "require_review"),
    Renamed("git[]", "rules", "gitleaks_config"),
    Renamed("network", "outside", "external"),
)


class Translated:
    """A raw manifest with current names. findings: mappings that have a key under both names."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.manifest: dict[str, Any] = dict(raw)
        self.findings: list[Finding] = []
        self._used: dict[Renamed, dict[str, object]] = {}  # path of a mapping with the old name, to the value there
        for within in dict.fromkeys(key.within for key in RENAMED):
            name, many, _ = within.partition("[]")
            if many and isinstance(inner := raw.get(name), list):
                self.manifest[name] = [self._today(one, within, f"{name}[{at}]") for at, one in enumerate(inner)]
            elif not many and name in raw:
                self.manifest[name] = self._today(raw[name], within, name)

    def _today(self, mapping: object, within: str, path: str) -> object:
        if not isinstance(mapping, Mapping):
            return mapping
        known, today = {key.old: key for key in RENAMED if key.within == within}, dict[Any, Any]()
        for name, value in mapping.items():
            if (key := known.get(name)) is None:
                today[name] = value
            elif key.new in mapping:
                wrong = f"write {key.new} alone; {name} is its old name"
                self.findings.append(Finding(f"{path}.{name}", NOT_SHOWN, wrong))
            else:
                self._used.setdefault(key, {})[path] = value
                today[key.new] = key.becomes.get(value, value) if isinstance(value, str) else value
        return today

    def as_written(self, finding: Finding) -> Finding:
        """The same finding with the key's name in the file."""
        for key, path in ((key, path) for key, places in self._used.items() for path in places):
            behind = finding.path.removeprefix(f"{path}.{key.new}")
            if behind != finding.path and behind[:1] in ("", ".", "["):
                return replace(finding, path=f"{path}.{key.old}{behind}")
        return finding

    def hints(self) -> Iterator[str]:
        """A line for each old name: its paths, and what to write instead."""
        for key, places in self._used.items():
            values = [value for value in key.becomes if value in places.values()]
            said = ", ".join(f"{key.old}: {value} is {key.new}: {key.becomes[value]}".lower() for value in values)
            where = ", ".join(f"{path}.{key.old}" for path in places)
            yield f"{where}: the key is called {key.new} now{said and f' ({said})'}; {STILL_WORKS}"
