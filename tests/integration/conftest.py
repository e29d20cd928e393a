"""Fixtures of the integration tests. They need what `make test` sets up, and say so where it is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
import world


@pytest.fixture(scope="session")
def sidecar_image() -> str:
    """The egress image, built as a bottle would build it; the fake internet runs in it too."""
    if shutil.which("pulumi") is None:
        pytest.fail("no pulumi on PATH: run these with make test")
    return world.built("egress")


@pytest.fixture(scope="session")
def git_host_image(sidecar_image: str) -> str:
    """An upstream of git remotes, over ssh and https."""
    tag = "claude-bottle/test-git-host:1"
    world.build_git_host(tag)
    return tag


@pytest.fixture(scope="session")
def internet(sidecar_image: str) -> Iterator[world.Internet]:
    with world.fake_internet(sidecar_image) as internet:
        yield internet


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The file that takes longest begins first, so that the others are done beside it."""
    items.sort(key=lambda item: item.path.name != "test_kills.py")
