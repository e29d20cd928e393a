"""What the images are made of, and what their names are made of, without building one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mocked import SECRET_SIGNATURE, compose

from claude_bottle.engines.docker.resources.image import with_proxies
from claude_bottle.engines.images.base_image import ROOT, BaseLock
from claude_bottle.engines.images.build_context import Ignored, digest, taken
from claude_bottle.engines.images.build_proxies import build_proxies, options
from claude_bottle.manifest.model import AgentConfig
from components import images
from components.agent_image import base_name

OWN = ("base", "egress", "git-gate", "supervise", "agent")


def context(folder: Path, dockerfile: str, **files: str) -> Path:
    """A folder with a Dockerfile; double underscores in the names stand for a dot, single ones for a slash."""
    for name, text in {"Dockerfile": dockerfile, **files}.items():
        file = folder / name.replace("__", ".").replace("_", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def names(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in taken(folder / "Dockerfile", folder)]


@pytest.mark.parametrize(
    ("dockerfile", "expected"),
    [
        ("FROM x\nCOPY a/one /\n", ["a/one"]),
        ("FROM x\nCOPY --chown=node:node a /\n", ["a/one", "a/two"]),
        ("FROM x\nCOPY --from=build /a /\nADD b /\n", ["b"]),
        ('FROM x\nCOPY ["a/one", "b", "/"]\n', ["a/one", "b"]),
        ("FROM x\n# COPY b /\nCOPY a/one \\\n  b \\\n# between\n  /\n", ["a/one", "b"]),
        ("FROM x\ncopy a/t* /\n", ["a/two"]),
        ("FROM x\nADD https://files.example.com/f /\nRUN cp a b\n", []),
        ("FROM x\nCOPY . /\n", ["a/one", "a/two", "b"]),
        # What cannot be told without the builder is everything.
        ("FROM x\nARG W\nCOPY $W /\n", ["a/one", "a/two", "b"]),
        ("FROM x\nRUN --mount=type=bind,target=/x cat /x/b\n", ["a/one", "a/two", "b"]),
        ("FROM x\nCOPY a/../b /\n", ["a/one", "a/two", "b"]),
    ],
)
def test_a_digest_is_over_what_the_dockerfile_takes(tmp_path: Path, dockerfile: str, expected: list[str]) -> None:
    folder = context(tmp_path, dockerfile, a_one="1", a_two="2", b="3")
    assert names(folder) == ["Dockerfile", *expected]


def test_what_dockerignore_leaves_out_is_not_in_the_digest() -> None:
    ignored = Ignored("*\n!addons\n**/__pycache__\n**/*.pyc\n# a comment\naddons/[ab]?.txt\n")
    expected = {
        "other/f": True,
        "addons/f.py": False,
        "addons/__pycache__/f.pyc": True,
        "addons/x/y.pyc": True,
        "addons/a1.txt": True,
        "addons/c1.txt": False,
    }
    assert {name: ignored(Path(name)) for name in expected} == expected


def test_a_digest_changes_with_contents_modes_names_and_links_and_with_nothing_else(tmp_path: Path) -> None:
    folder = context(tmp_path, "FROM x\nCOPY a /\n", a_one="1", beside="x")
    file, one = folder / "Dockerfile", folder / "a/one"
    before = digest(file, folder, exact_modes=True), digest(file, folder, exact_modes=False)
    (folder / "beside").write_text("y")
    os.utime(one, (1, 1))
    assert (digest(file, folder, exact_modes=True), digest(file, folder, exact_modes=False)) == before
    one.chmod(0o600)
    assert digest(file, folder, exact_modes=True) != before[0]
    assert digest(file, folder, exact_modes=False) == before[1], "the build sets the modes"
    seen = {digest(file, folder, exact_modes=False)}
    for change in (lambda: one.chmod(0o700), lambda: one.write_text("2"), lambda: one.rename(folder / "a/two")):
        change()
        seen.add(digest(file, folder, exact_modes=False))
    (folder / "a/link").symlink_to("two")
    assert len(seen | {digest(file, folder, exact_modes=False)}) == 5


def test_what_the_owner_keeps_beside_a_dockerfile_makes_no_other_agent(tmp_path: Path) -> None:
    """A Dockerfile beside the stack files: each `up` would have made a new agent."""
    folder, config = context(tmp_path, "FROM x\nCOPY tool /\n", tool="1"), AgentConfig(dockerfile="Dockerfile")
    before = base_name(config, folder)
    (folder / "Pulumi.other.yaml").write_text("config: {}\n")
    assert base_name(config, folder) == before
    (folder / "tool").write_text("2")
    assert base_name(config, folder) != before


@pytest.mark.parametrize("role", OWN)
def test_all_that_a_dockerfile_copies_is_in_the_context_and_in_the_tag(role: str) -> None:
    """With the builder's own rule of what is sent to it: what is not sent would fail the build."""
    file = ROOT / images.dockerfile(role)
    ignored = Ignored((ROOT / ".dockerignore").read_text())
    copied = [line for line in file.read_text().splitlines() if line.startswith("COPY ") and "--from" not in line]
    sources = [word for line in copied for word in line.split()[1:-1] if not word.startswith("--")]
    paths = {str(path.relative_to(ROOT)) for path in taken(file, ROOT)}
    for source in sources:
        matches = [path for path in ROOT.glob(source) if not ignored(path.relative_to(ROOT))]
        assert matches, source
        for path in matches:
            inside = [p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts] or [path]
            assert {str(p.relative_to(ROOT)) for p in inside} <= paths, source
    assert not [name for name in paths if name.endswith(".pyc")]
    assert paths <= {images.dockerfile(role), *paths} and all("/" in name for name in paths)


def test_supervise_copies_what_it_imports() -> None:
    """Each module of the project that is imported in supervise's image is one that its Dockerfile copies."""
    copied = [p for p in taken(ROOT / images.dockerfile("supervise"), ROOT) if p.suffix == ".py"]
    files = {str(path.relative_to(ROOT)) for path in copied}
    for path in copied:
        for module in re.findall(r"^from ((?:addons|components)(?:\.\w+)+) import", path.read_text(), re.MULTILINE):
            assert f"{module.replace('.', '/')}.py" in files, (path.name, module)


def test_tags_are_the_same_under_any_umask_and_other_ones_with_another_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    for name in ("addons", "claude_bottle", "sidecar_images"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".dockerignore", copy)
    subprocess.run(["chmod", "-R", "go=", copy], check=True)
    for role in OWN[1:]:
        here = digest(ROOT / images.dockerfile(role), ROOT, exact_modes=False)
        assert digest(copy / images.dockerfile(role), copy, exact_modes=False) == here, role
    lock = BaseLock.read()
    tags = {images.tag(role) for role in OWN[1:]}
    newer = replace(lock, snapshot="20990101T000000Z")
    monkeypatch.setattr(BaseLock, "read", classmethod(lambda cls: newer))
    assert not tags & {images.tag(role) for role in OWN[1:]}


@pytest.mark.parametrize("role", OWN)
def test_the_build_sets_the_modes_of_all_that_it_takes_of_the_checkout(role: str) -> None:
    """A checkout under umask 077 gave images that do not start."""
    last = re.split(r"^FROM ", (ROOT / images.dockerfile(role)).read_text(), flags=re.MULTILINE)[-1]
    paths = " ".join(re.findall(r"chmod (?:-R )?\S+ ([^&|]+)", last.replace("\\\n", " "))).split()
    for line in re.findall(r"^COPY (?!--from)(.*)", last, re.MULTILINE):
        target = line.split()[-1]
        assert any(target == path or target.startswith(f"{path}/") for path in paths), line


def test_the_base_is_named_by_digest_and_by_a_moment() -> None:
    lock = BaseLock.read()
    assert re.fullmatch(r"[a-z/.]+@sha256:[0-9a-f]{64}", lock.image)
    assert re.fullmatch(r"20\d{6}T\d{6}Z", lock.snapshot)
    assert lock.build_args == {"UPSTREAM": lock.image, "SNAPSHOT": lock.snapshot}
    for role in OWN[1:]:
        bases = re.findall(r"^FROM (\S+)", (ROOT / images.dockerfile(role)).read_text(), re.MULTILINE)
        assert set(bases) == {"${BASE}"}, role


def built(tags: frozenset[str]) -> dict[str, Any]:
    recorder = compose({"egress": {"routes": [{"host": "a.example.com"}]}}, images_there=tags)[0]
    return {i.inputs["name"]: i.inputs for i in recorder.all(":RemoteImage")}


def test_an_engine_is_asked_for_a_base_only_where_something_is_built_on_it() -> None:
    nothing = built(frozenset())
    base = BaseLock.read().tag
    assert nothing[base]["build"]["buildArgs"] == BaseLock.read().build_args
    own = frozenset(nothing) - {base}
    assert base not in built(own), "another engine, which was given the finished images"
    assert not built(own | {base})[base].get("build"), "the set-up has made it"


def test_builds_go_by_the_forward_proxy_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs.docker.com/reference/dockerfile, Predefined ARGs; a login there is a secret like any other."""
    for name in (
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "NO_PROXY",
        "no_proxy",
        "ALL_PROXY",
        "all_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    assert build_proxies() == {} == with_proxies({})
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.corp.example.com:3128")
    monkeypatch.setenv("http_proxy", "http://me:corp-login@proxy.corp.example.com:3128")
    assert options() == ["--build-arg", "http_proxy", "--build-arg", "HTTPS_PROXY"]
    for image in built(frozenset()).values():
        arguments = image["build"]["buildArgs"]
        # One secret makes the whole map one, in the mocks as for the engine.
        assert "proxy.corp.example.com" in json.dumps(arguments) and SECRET_SIGNATURE in json.dumps(arguments)


def test_the_project_and_what_it_ships_have_their_licences() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()
    kept = (ROOT / "sidecar_images/base/dpkg.cfg").read_text()
    assert kept.index("path-exclude=/usr/share/doc/*") < kept.index("path-include=/usr/share/doc/*/copyright")
    for role in OWN[1:]:
        text = (ROOT / images.dockerfile(role)).read_text()
        assert "bottle-sbom claude-bottle/" in text, role
        assert not re.search(r"rm .*/usr/share/(doc|common-licenses)", text), role
