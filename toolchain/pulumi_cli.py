"""The Pulumi CLI and its plugins: installed ones, else the official ones by digest, else built from Go modules."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from claude_bottle.policy.own_command import own_command
from toolchain import archives
from toolchain.go_build import Piece, module_folder
from toolchain.shell import CACHE, SetupError, quiet, run, say

VERSION = "3.259.0"
MINIMUM = (3, 200)
PLUGINS = {"docker": "5.2.0", "tls": "5.6.2", "command": "1.2.1"}  # the versions of the SDKs in requirements.lock

_STRIP = "-s -w"
_STAMP = f"{_STRIP} -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{VERSION}"
_SDK = "github.com/pulumi/pulumi/sdk/v3"
CLI = [
    Piece("cli", "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", "pulumi", ("-ldflags", _STAMP)),
    Piece(
        "language-python",
        f"{_SDK}/python/cmd/pulumi-language-python",
        "pulumi-language-python",
        ("-ldflags", _STRIP),
    ),
]
# The CLI looks for its language host, and that for its scripts, in its own folder: hard links in one folder.
BIN = CACHE / "toolchain" / f"bin-{CLI[0].digest()[:8]}{CLI[1].digest()[:8]}"
SCRIPTS = ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python")
PROVIDERS = {
    "docker": Piece("provider-docker", ".", "pulumi-resource-docker", ("-ldflags", _STRIP, "-tags", "no_compose")),
    "tls": Piece("provider-tls", ".", "pulumi-resource-tls", ("-ldflags", _STRIP)),
    "command": Piece("provider-command", ".", "pulumi-resource-command", ("-ldflags", _STRIP)),
}


def pulumi_home() -> Path:
    """The folder where the CLI keeps its plugins and credentials."""
    return Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")


def find_cli() -> Path | None:
    """The CLI to use: one on PATH or from the official installer, else the one built for this checkout; or None."""
    for candidate in (shutil.which("pulumi"), pulumi_home() / "bin" / "pulumi", BIN / "pulumi"):
        if candidate and Path(candidate).exists() and _new_enough(Path(candidate)):
            return Path(candidate)
    return None


def _new_enough(cli: Path) -> bool:
    version = quiet(str(cli), "version", env={"PULUMI_SKIP_UPDATE_CHECK": "true"}) or ""
    parts = version.lstrip("v").split(".")
    return len(parts) >= 2 and all(p.isdigit() for p in parts[:2]) and tuple(map(int, parts[:2])) >= MINIMUM


class PulumiCli:
    """The `pulumi` command and its Python language host."""

    name = "Pulumi CLI"
    why = "a bottle is a Pulumi stack"
    how = f"see https://www.pulumi.com/docs/install, or run {own_command('up demo')}, which builds it from Go modules"

    def look(self) -> str | None:
        cli = find_cli()
        names = [*(piece.binary for piece in CLI), *(Path(script).name for script in SCRIPTS)]
        if cli is None or (BIN in cli.parents and not all((BIN / name).exists() for name in names)):
            return None
        return f"{quiet(str(cli), 'version', env={'PULUMI_SKIP_UPDATE_CHECK': 'true'})} ({cli})"

    def get(self) -> None:
        if not all(piece.path().exists() for piece in CLI) and self._official():
            return
        BIN.mkdir(parents=True, exist_ok=True)
        for piece in CLI:
            built = piece.build()
            (BIN / piece.binary).unlink(missing_ok=True)
            (BIN / piece.binary).hardlink_to(built)
        source = module_folder("cli", _SDK)
        for script in SCRIPTS:
            shutil.copyfile(source / script, BIN / Path(script).name)
            (BIN / Path(script).name).chmod(0o755)

    def _official(self) -> bool:
        data = archives.verified("cli", VERSION)
        if data is None:
            return False
        archives.unpack(data, "pulumi", pulumi_home() / "bin")
        return True


class Plugin:
    """One provider plugin, in the version of its SDK."""

    def __init__(self, kind: str) -> None:
        self._kind, self._version = kind, PLUGINS[kind]
        self.name = f"Pulumi {kind} plugin"
        self.why = f"the provider behind pulumi-{kind} {self._version}"
        self.how = f"pulumi plugin install resource {kind} {self._version}, or run {own_command('up demo')}"

    def _folder(self) -> Path:
        return pulumi_home() / "plugins" / f"resource-{self._kind}-v{self._version}"

    def look(self) -> str | None:
        mark, binary = self._folder() / "claude-bottle-build", self._folder() / f"pulumi-resource-{self._kind}"
        if not binary.exists():
            return None
        if not mark.exists():
            return f"{self._version}"
        return f"{self._version}, built" if mark.read_text() == PROVIDERS[self._kind].digest() else None

    def get(self) -> None:
        cli, piece = find_cli(), PROVIDERS[self._kind]
        if cli is None:
            raise SetupError("the Pulumi CLI comes first")
        install: list[str | Path] = [cli, "plugin", "install", "resource", self._kind, self._version]
        environment = {"PULUMI_SKIP_UPDATE_CHECK": "true"}
        checksum = archives.recorded(self._kind, self._version)
        if checksum and not piece.path().exists() and BIN not in cli.parents:
            try:
                checked: list[str | Path] = [*install, "--checksum", checksum]
                run(checked, f"official {self._kind} plugin", env=environment, timeout=300)
                return
            except SetupError as error:
                say(f"      the official plugin cannot be downloaded: {str(error).splitlines()[-1]}")
        binary = piece.build()
        run([*install, "--reinstall", "-f", binary], f"install {self._kind} plugin", env=environment)
        (self._folder() / "claude-bottle-build").write_text(piece.digest())
