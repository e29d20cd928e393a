"""Fixtures that these tests share with the integration tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import world


@pytest.fixture(scope="session")
def sidecar_image() -> str:
    """The egress image, built as a bottle would build it; the fake internet runs in it too."""
    return world.built("egress")


@pytest.fixture(scope="session")
def internet(sidecar_image: str) -> Iterator[world.Internet]:
    with world.fake_internet(sidecar_image) as internet:
        yield internet
