"""`make update`: newer versions for the images, either all of them or none, with a rollback."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from claude_bottle.engines.images.base_image import LOCK, BaseLock
from claude_bottle.engines.images.build_proxies import options
from claude_bottle.policy.names.roles import ROLES, SIDECAR_ROLES
from claude_bottle.policy.own_command import own_command
from toolchain import newer
from toolchain.docker_engine import BaseImage
from toolchain.environment import STATE
from toolchain.newer import AGENT, GITLEAKS, Age
from toolchain.shell import ROOT, SetupError, quiet, run, say
from toolchain.step import ensure

PINS = (LOCK, AGENT / "package.json", AGENT / "package-lock.json", GITLEAKS / "go.mod")
IMAGE_ROLES = tuple(role for role in ROLES if role != "pipelock")  # whose image is egress's


def ages() -> list[Age]:
    """The pins, their ages and newer versions. Queries servers; changes nothing."""
    lock = BaseLock.read()
    more = newer.packages_newer(lock)
    packages = None if more is None else (newer.today() if more else lock.snapshot)
    return [
        Age("base image", lock.digest, None, newer.base_newest(lock)),
        Age("Debian packages", lock.snapshot, newer.days_since(lock.snapshot), packages),
        Age("Claude Code", newer.claude_now(), None, newer.claude_newest()),
        Age("Go of gitleaks", newer.go_now(), None, newer.go_newest()),
    ]


def update() -> int:
    """Pin newer versions, build the images, and print what changed and which stacks need `up`. Returns 1 if no server
    answers.

    Raises SetupError, with every pin restored, if a version cannot be pinned or an image cannot be built.
    """
    ensure(BaseImage())
    pins = ages()
    show(pins)
    if all(age.newer is None for age in pins):
        say("no server answers: no network, or none that reaches these. Nothing is changed")
        return 1
    wanted = {age.name: age.newer for age in pins if age.newer and age.is_old}
    if not wanted:
        say("everything is up to date: nothing is changed")
        return 0
    before = {path: path.read_text() for path in PINS}
    was = _sboms()
    try:
        _write(wanted)
        _build()
    except BaseException:
        _restore(before)
        say("every pin is as it was")
        raise
    remember(before)
    for line in changes(was, _sboms()):
        print(line)
    _tell_stacks()
    print(f"the pins are files of this checkout (git diff); to roll back: {own_command('update --back')}")
    return 0


def back() -> int:
    """Roll back the last update. Raises SetupError if there is none, or a pin was changed since."""
    last = max(_history().glob("*.json"), key=lambda file: int(file.stem), default=None)
    if last is None:
        raise SetupError("there is no update of this checkout to roll back")
    kept = json.loads(last.read_text())
    changed = [name for name, digest in kept["after"].items() if _digest((ROOT / name).read_text()) != digest]
    if changed:
        raise SetupError(f"changed since the update, so they are left alone (git can tell): {', '.join(changed)}")
    _restore({ROOT / name: text for name, text in kept["before"].items()})
    last.unlink()
    print(f"rolled back: {', '.join(kept['before'])}")
    _build()
    _tell_stacks()
    return 0


def show(pins: Iterable[Age]) -> None:
    """Print one line for each pin."""
    for age in pins:
        days = "" if age.days is None else f", {age.days} days old"
        news = "nobody answers" if age.newer is None else f"newer: {age.newer}" if age.is_old else "the newest"
        print(f"  {age.name:<16} {age.now}{days}; {news}")


def remember(before: dict[Path, str]) -> None:
    """Store the previous content of the pins, for a rollback."""
    folder = _history()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    number = max((int(file.stem) for file in folder.glob("*.json")), default=0) + 1
    names = {str(path.relative_to(ROOT)): text for path, text in before.items()}
    after = {name: _digest((ROOT / name).read_text()) for name in names}
    (folder / f"{number}.json").write_text(json.dumps({"before": names, "after": after}))


def changes(was: dict[str, dict[str, str]], now: dict[str, dict[str, str]]) -> list[str]:
    """By image, each package that was added, removed or has another version."""
    lines = []
    for role in now:
        old, new = was.get(role, {}), now[role]
        differ = [name for name in sorted(old | new) if old.get(name) != new.get(name)] if old else []
        lines.append(f"{role}: {len(differ)} of {len(new)} packages differ" if old else f"{role}: {len(new)} packages")
        lines += [f"  {name}: {old.get(name, 'not there')} -> {new.get(name, 'gone')}" for name in differ]
    return lines


def _write(wanted: dict[str, str]) -> None:
    lock = BaseLock.read()
    lock = replace(lock, digest=wanted.get("base image", lock.digest))
    lock = replace(lock, snapshot=wanted.get("Debian packages", lock.snapshot))
    lock.write()
    if version := wanted.get("Claude Code"):
        newer.write_claude(version)
    if version := wanted.get("Go of gitleaks"):
        newer.write_go(version)


def _restore(texts: dict[Path, str]) -> None:
    for path, text in texts.items():
        path.write_text(text)


def _build() -> None:
    from components import images  # needs the Python environment, which an earlier step creates

    ensure(BaseImage())
    for role in IMAGE_ROLES:
        name = images.tag(role)
        if quiet("docker", "image", "inspect", "--format", "{{.Id}}", name) is None:
            args = [word for key, value in images.build_args().items() for word in ("--build-arg", f"{key}={value}")]
            file = ROOT / images.dockerfile(role)
            run(["docker", "build", *options(), *args, "-t", name, "-f", file, ROOT], f"build {images.image_of(role)}")
        say(f"  ok  {name}")


def _sboms() -> dict[str, dict[str, str]]:
    """By role, name and version of the packages in its image's SBOM; empty without the image."""
    from components import images

    contents = {}
    for role in IMAGE_ROLES:
        show = ["--network", "none", "--entrypoint", "cat", images.tag(role), "/usr/share/doc/claude-bottle/sbom.json"]
        text = quiet("docker", "run", "--rm", "--pull", "never", *show)
        parts = json.loads(text)["components"] if text else []
        contents[role] = {
            part["purl"].partition("@")[0] if "%40" not in part["purl"] else part["name"]: part["version"]
            for part in parts
        }
    return contents


def outdated(running: Iterable[tuple[str, list[str]]], new: list[list[str]]) -> list[str]:
    """Stacks that run an image not based on any of the new ones. running: stack, and layers of an image."""
    return sorted(
        {stack for stack, layers in running if not any(layers[: len(under)] == under for under in new if under)}
    )


def _tell_stacks() -> None:
    from components import images

    shape = '{{.Label "claude-bottle.stack"}} {{.Label "claude-bottle.role"}} {{.ID}}'
    listed = quiet("docker", "ps", "--filter", "label=claude-bottle.stack", "--format", shape) or ""
    running = []
    for line in listed.splitlines():
        stack, role, container = [*line.split(), "", "", ""][:3]
        image = quiet("docker", "inspect", "--format", "{{.Image}}", container) or ""
        # An agent image that the owner named is not based on this project's base.
        if role in SIDECAR_ROLES or _inspect(image, '{{index .Config.Labels "claude-bottle.from"}}'):
            running.append((stack, _layers(image)))
    old = outdated(running, [_layers(images.tag(role)) for role in IMAGE_ROLES])
    for stack in old:
        print(f"needs up: {own_command(f'up {stack}')}")
    if not old:
        print("no running bottle needs up")


def _layers(image: str) -> list[str]:
    return _inspect(image, '{{join .RootFS.Layers " "}}').split()


def _inspect(image: str, shape: str) -> str:
    return quiet("docker", "image", "inspect", "--format", shape, image) or ""


def _history() -> Path:
    return STATE / "updates" / _digest(str(ROOT))[:16]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
