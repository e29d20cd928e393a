"""Fixtures that these tests share with the integration tests."""

from __future__ import annotations

import pytest
import world


@pytest.fixture(scope="session")
def sidecar_image() -> str:
    """The egress image, built as a bottle would build it."""
    return world.built("egress")
