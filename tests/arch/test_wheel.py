"""The wheel, used in an empty folder: what it holds is all that it needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from installed import ROOT, build, install


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(wheel, tmp_path_factory.mktemp("env"))


@pytest.fixture
def run(installed: Path, tmp_path: Path):
    """The installed command in an empty folder, with nothing of the checkout in its environment."""
    kept = {key: value for key, value in os.environ.items() if key in ("HOME", "LANG")}
    own = {key: str(tmp_path / key) for key in ("XDG_STATE_HOME", "XDG_CONFIG_HOME")}
    (tmp_path / "empty").mkdir()

    def call(*argv: str, folder: str = "empty", **more: str) -> subprocess.CompletedProcess[str]:
        env = {"PATH": "/usr/bin:/bin", **kept, **own, **more}
        cwd = tmp_path / folder
        return subprocess.run([installed, *argv], cwd=cwd, env=env, capture_output=True, text=True, check=False)

    return call


def test_it_installs_no_package_of_a_common_name(wheel: Path) -> None:
    """The index has a package `bottle`, and anybody's project a folder `components`."""
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"claude_bottle"}


def test_it_holds_what_the_images_are_built_from_and_nothing_of_a_machine(wheel: Path) -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    rooms = (
        "addons/",
        "claude_bottle/",
        "components/",
        "dashboard/",
        "sidecar_images/",
        "toolchain/",
        "stacks/examples/",
        "stacks/presets/",
    )
    wanted = {name for name in tracked.split("\0") if name.startswith(rooms)}
    prefix = "claude_bottle/checkout/"
    held = {name.removeprefix(prefix) for name in zipfile.ZipFile(wheel).namelist() if name.startswith(prefix)}
    assert held - {"__main__.py", "Pulumi.yaml", ".dockerignore"} == wanted


def test_its_images_are_those_of_the_checkout(installed: Path) -> None:
    """The same names of images, which are hashes of what their Dockerfiles copy."""
    script = (
        "import claude_bottle; from components.images import tag; print(*map(tag, ('agent', 'egress', 'git-gate')))"
    )
    named = [
        subprocess.run([python, "-c", script], cwd=folder, check=True, capture_output=True, text=True).stdout
        for python, folder in ((installed.with_name("python"), "/"), (Path(sys.executable), ROOT))
    ]
    assert named[0] == named[1]


def test_an_empty_folder_is_enough(run, tmp_path: Path) -> None:
    done = run("init", "mine", "--no-model", "--use", "python")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "empty"
    assert sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()) == [
        "Pulumi.yaml",
        "__main__.py",
        "stacks/Pulumi.mine.yaml",
    ]
    (tmp_path / "bin").mkdir()
    pip = tmp_path / "bin/pip"
    pip.write_text(
        "#!/bin/sh\necho 'Base URL of the Python Package Index (default https://packages.example.com/simple).'\n"
    )
    pip.chmod(0o755)
    path = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    done = run("check", "mine", **path)
    assert done.returncode == 0, done.stdout
    assert run("check", "mine", folder="empty/stacks", **path).returncode == 0, "from anywhere in the project"
    done = run("check", "mien")
    assert done.returncode == 2 and "did you mean `mine`?" in done.stderr
    assert "Python environment" in run("doctor").stdout


def test_a_folder_of_another_project_is_left_alone(run, tmp_path: Path) -> None:
    (tmp_path / "empty/Pulumi.yaml").write_text("name: shop\nruntime: nodejs\n")
    done = run("init", "mine", "--no-model")
    assert done.returncode == 2 and "use a folder of its own" in done.stderr
    assert [f.name for f in (tmp_path / "empty").iterdir()] == ["Pulumi.yaml"]


def test_files_make_no_project(run, tmp_path: Path) -> None:
    """What an agent puts into a workspace would run with the owner's secrets, if its files made it one."""
    assert run("init", "mine", "--no-model").returncode == 0
    shutil.copytree(tmp_path / "empty", tmp_path / "workspace")
    (tmp_path / "workspace/sub").mkdir()
    for verb in (("check", "mine"), ("plan", "mine"), ("up", "mine"), ("init", "other", "--no-model"), ("fleet",)):
        done = run(*verb, folder="workspace")
        assert done.returncode == 2 and "was not made here" in done.stderr, verb
    done = run("plan", "mine", folder="workspace/sub")
    assert done.returncode == 2 and "no bottle `mine`" in done.stderr
    assert run("check", "mine").returncode == 0


def test_a_project_from_elsewhere_is_taken_by_its_owners_word(run, tmp_path: Path) -> None:
    assert run("init", "mine", "--no-model").returncode == 0
    moved = tmp_path / "moved"
    (tmp_path / "empty").rename(moved)
    (tmp_path / "empty").mkdir()
    assert run("check", "mine", folder="moved").returncode == 2
    assert run("check", "mine", CLAUDE_BOTTLE_PROJECT=str(moved)).returncode == 0
    assert run("check", "mine", folder="moved").returncode == 0
