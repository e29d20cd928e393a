"""Which images `bottle prune` takes. Source: docker-image-rm(1): an image that a container has is refused without -f."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_cli import STACK, Place, place

from claude_bottle.manifest.model import AgentConfig
from claude_bottle.upkeep import old_images
from components import agent_image
from components.images import tag

__all__ = ["place"]
OLD, USED, KNOWN = (f"claude-bottle/{name}:{digit * 16}" for name, digit in (("proxy", "a"), ("agent", "b"), ("supervise", "c")))  # fmt: skip
OTHERS = ["claude-bottle/test-sink:688888888888", "claude-bottle/debian:20261127", "claude-bottle/mine:latest"]


def _docker(place: Place, names: list[str], refuse: str = "") -> None:
    (place.folder / "names").write_text("\n".join(names) + "\n")
    history = "2026-01-02\\t2000000000\\tCOPY $name\\n2026-01-01\\t1000\\tbase\\n"
    place.fake("docker", {
        "*image?ls*": f"cat '{place.folder}/names'",
        "*container?inspect*": f"echo sha256:{USED}",
        "*ps?-aq*": "echo c1",
        "*image?inspect*": 'shift 4; for n; do echo "sha256:$n"; done',
        "*history*": f'for name; do :; done; printf "{history}"',
        "*image?rm*": f'case $3 in "{refuse}") echo "image is being used" >&2; exit 1 ;; esac',
    })  # fmt: skip


def test_what_nothing_uses_goes_and_nothing_else(place: Place) -> None:
    place.state("other", {"urn": "x", "outputs": {"name": KNOWN}})
    packages = agent_image.image_name(AgentConfig(apt=["make"]), Path("stacks"))
    (place.folder / "stacks/Pulumi.demo.yaml").write_text(STACK + "    agent: {apt: [make]}\n")
    _docker(place, [OLD, USED, KNOWN, tag("egress"), packages, *OTHERS])
    listed = json.loads(place.run("prune", "--dry-run", "--json").stdout)
    assert listed == {"images": [{"engine": None, "image": OLD}], "deleted": False, "problems": []}
    done = place.run("prune", "--dry-run")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [OLD, "1 unused image, 2.0 GB; bottle prune deletes them"]
    assert not [call for call in place.calls if "image rm" in call]
    assert place.run("prune").stdout.endswith("2.0 GB; deleted\n")
    assert [call for call in place.calls if "image rm" in call] == [f"docker image rm {OLD}"]
    assert not [call for call in place.calls if " -f " in call and "rm" in call], (
        "the engine itself refuses what is used"
    )
    _docker(place, [USED, KNOWN])
    assert place.run("prune").exit_code == 3


def test_what_the_engine_refuses_is_said(place: Place) -> None:
    _docker(place, [OLD], refuse=OLD)
    done = place.run("prune")
    assert done.exit_code == 1
    assert f"{OLD} stays: image is being used" in done.stderr


@pytest.mark.parametrize("text", ["config: [", STACK + "    agent: {apt: 3}\n"])
def test_where_it_cannot_be_told_nothing_goes(place: Place, text: str) -> None:
    (place.folder / "stacks/Pulumi.demo.yaml").write_text(text)
    _docker(place, [OLD])
    done = place.run("prune")
    assert done.exit_code == 1
    assert "stacks/Pulumi.demo.yaml: the images it needs are unknown" in done.stderr
    assert not [call for call in place.calls if "image rm" in call]


def test_layers_that_another_image_has_are_not_counted(place: Place) -> None:
    from claude_bottle.engines.docker.engine import Engine

    history = {OLD: "a\t5\tx\nb\t100\tbase", f"{OLD[:-1]}b": "c\t7\ty\nb\t100\tbase", USED: "b\t100\tbase"}
    (place.folder / "names").write_text("\n".join(history))
    (place.folder / "history.json").write_text(json.dumps(history))
    cases = {f"*history*{name}": f"printf '{text}\\n'" for name, text in history.items()}
    place.fake("docker", {
        "*image?ls*": f"cat '{place.folder}/names'",
        "*container?inspect*": f"echo sha256:{USED}",
        "*ps?-aq*": "echo c1",
        "*image?inspect*": 'shift 4; for n; do echo "sha256:$n"; done',
        **cases,
    })  # fmt: skip
    assert old_images.look(Engine(), []).size == 12
