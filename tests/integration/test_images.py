"""The images themselves: what is in them, whoever builds them and whenever."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import world

from claude_bottle.engines.images.base_image import ROOT, BaseLock
from components import images

pytestmark = pytest.mark.docker
ROLES = ("egress", "git-gate", "supervise", "agent")
SBOM = "/usr/share/doc/claude-bottle/sbom.json"
# What each image is known to hold, beside Debian's packages.
KNOWN = {
    "egress": ("pkg:pypi/mitmproxy@", "pkg:pypi/hyperscan@"),
    "git-gate": ("pkg:golang/github.com/zricethezav/gitleaks/v8@", "pkg:golang/stdlib@"),
    "supervise": ("pkg:pypi/mcp@",),
    "agent": ("pkg:npm/%40anthropic-ai/claude-code@",),
}


def inside(image: str, command: str) -> str:
    return world.docker("run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-ec", command)


@pytest.mark.parametrize("role", ROLES)
def test_each_image_says_what_is_in_it_and_has_its_licences(role: str) -> None:
    tag = world.built(role)
    sbom = json.loads(inside(tag, f"cat {SBOM}"))
    assert (sbom["bomFormat"], sbom["specVersion"], sbom["version"]) == ("CycloneDX", "1.5", 1)
    assert sbom["metadata"]["component"] == {
        "type": "container",
        "bom-ref": f"claude-bottle/{images.image_of(role)}",
        "name": f"claude-bottle/{images.image_of(role)}",
    }
    components = sbom["components"]
    assert all({"type", "name", "version", "purl", "bom-ref"} <= set(c) and c["version"] for c in components)
    assert len({c["bom-ref"] for c in components}) == len(components)
    purls = "\n".join(c["purl"] for c in components)
    for known in KNOWN[role]:
        assert known in purls
    packages = inside(tag, "dpkg-query -W -f '${Package}\\n'").split()
    assert {c["name"] for c in components if c["purl"].startswith("pkg:deb/")} == set(packages)
    # A package without a licence text has one under the name of another of the same source.
    missing = inside(
        tag, "for p in $(dpkg-query -W -f '${Package}\\n'); do [ -e /usr/share/doc/$p/copyright ] || echo $p; done"
    )
    assert missing.split() == []


def test_gitleaks_and_its_modules_are_shipped_with_their_notices() -> None:
    tag = world.built("git-gate")
    components = json.loads(inside(tag, f"cat {SBOM}"))["components"]
    folders = set(inside(tag, "cd /usr/share/doc/gitleaks && find . -type f -printf '%h\\n'").split())
    for component in components:
        if component["purl"].startswith("pkg:golang/") and component["name"] != "stdlib":
            assert f"./{component['name']}" in folders, component["name"]
    assert "./go" in folders


@pytest.mark.parametrize("role", ROLES)
def test_nothing_of_the_checkouts_own_gets_in(role: str) -> None:
    """The compiled files below /app are those of the build, each beside its source; all can be read by everybody."""
    tag = world.built(role)
    files = inside(tag, "test ! -d /app || find /app -type f").split()
    compiled = {path for path in files if path.endswith(".pyc")}
    sources = {path.replace("/__pycache__/", "/").partition(".cpython-")[0] + ".py" for path in compiled}
    assert sources == {path for path in files if path.endswith(".py")}
    assert bool(compiled) == (role != "agent")
    assert inside(tag, "test ! -d /app || find /app ! -perm -o=r") == ""


def contents(image: str) -> Iterator[tuple[str, str]]:
    """Name to kind, mode, owner and content of each file; the times are left out."""
    container = world.docker("create", image, "true").strip()
    try:
        with (
            subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as export,
            tarfile.open(fileobj=export.stdout, mode="r|") as tar,
        ):
            for member in tar:
                file = tar.extractfile(member) if member.isfile() else None
                data = hashlib.file_digest(file, "sha256").hexdigest() if file else ""
                description = f"{member.type!r} {member.mode:o} {member.uid}:{member.gid} {member.linkname} {data}"
                yield member.name, description
    finally:
        world.docker("rm", container)


def build(role: str, folder: Path, tag: str) -> str:
    args = [word for item in images.build_args().items() for word in ("--build-arg", "=".join(item))]
    file = str(folder / images.dockerfile(role))
    world.docker("build", "-q", "--no-cache", *args, "-t", tag, "-f", file, str(folder), timeout=1800)
    return tag


def checkout(folder: Path) -> Path:
    """The files of this checkout as git would write them for an owner whose umask is 077, at another time."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    pack = subprocess.run(["tar", "-c", *names], cwd=ROOT, capture_output=True, check=True)
    folder.mkdir()
    unpack = ["sh", "-c", "umask 077; tar -x --no-same-permissions --touch"]
    subprocess.run(unpack, cwd=folder, input=pack.stdout, check=True)
    (folder / "addons/__pycache__").mkdir()
    (folder / "addons/__pycache__/left.pyc").write_bytes(b"left behind")
    assert (folder / "addons/egress/addon.py").stat().st_mode & 0o777 == 0o600
    return folder


# As `nobody` and as `node`, who own nothing of the checkout.
STARTS = {
    "egress": "cd /app && python -c 'import addons.egress.addon, addons.pipelock.addon' && test -x /app/entrypoint.sh",
    "git-gate": "cd /app && python3 -c 'import git_gate.serve' && git config --system -l && test -x /app/hooks/update",
    "supervise": "cd /app && python3 -c 'import supervise.server'",
    "agent": "claude --version && cat ~/.claude.json ~/.claude/settings.json && git config user.name",
}


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_two_builds_without_a_cache_have_the_same_content_and_start(role: str, tmp_path: Path) -> None:
    """The second one from a checkout of another day, under umask 077. Only the times of files differ."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    tags = [f"claude-bottle-test/{images.image_of(role)}:{n}" for n in ("one", "two")]
    try:
        one = dict(contents(build(role, ROOT, tags[0])))
        two = dict(contents(build(role, checkout(tmp_path / "other"), tags[1])))
        assert {name: (one.get(name), two.get(name)) for name in one | two if one.get(name) != two.get(name)} == {}
        assert len(one) > 1000
        inside(tags[1], STARTS[role])
    finally:
        for tag in tags:
            world.docker("image", "rm", tag, check=False)


COMPILES_NOTHING = """
import hyperscan
from claude_bottle.dlp.rules.ruleset import RuleSet

class Loaded(hyperscan.Database):
    def compile(self, **_):
        raise SystemExit("compiled at the start")

hyperscan.Database = Loaded
rules = RuleSet()
print(rules.find(b"ghp_" + b"1B4a2c8D9e7F" * 3).id)
"""


def test_a_proxy_that_starts_compiles_nothing_and_finds_the_same() -> None:
    tag = world.built("egress")
    assert inside(tag, f"cd /app && python -c '{COMPILES_NOTHING}'").strip() == "github-pat"
    assert inside(tag, "find /app -writable | wc -l").strip() == "0"


def test_the_base_has_the_packages_of_one_moment() -> None:
    """The index that names them is in it, and later images install from it without asking for a newer one."""
    base = BaseLock.read().tag
    assert inside(base, "ls /var/lib/apt/lists | grep -c _Packages").strip() != "0"
    assert "apt-get update" not in "".join((ROOT / images.dockerfile(role)).read_text() for role in ROLES)
