"""A stack file that Pulumi cannot give to its program. Source: execve(2), MAX_ARG_STRLEN: 131,072 bytes with the end."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from components.stack_size import MOST, too_large


def text(routes: int) -> str:
    made = [{"host": f"h{n:05}.example.com", "path": ["/a", "/b"]} for n in range(routes)]
    return yaml.safe_dump({"config": {"claude-bottle:bottle": {"egress": {"routes": made}}}})


@pytest.mark.parametrize(("routes", "fits"), [(10, True), (1500, True), (5000, False)])
def test_many_routes(routes: int, fits: bool) -> None:
    assert (too_large(text(routes)) is None) == fits
    assert fits or "two bottles" in str(too_large(text(routes)))


def test_what_is_no_stack_file_is_somebody_elses_to_tell() -> None:
    assert [too_large(one) for one in ("", "{", "a", "config: 1", "config: {a: b}")] == [None] * 5


def test_the_limit_is_the_kernels() -> None:
    def starts(size: int) -> bool:
        try:
            subprocess.run(["true"], env={"PATH": os.environ["PATH"], "PULUMI_CONFIG": "x" * size}, check=True)
        except OSError:
            return False
        return True

    assert Path("/proc/self/environ").exists(), "this is about Linux"
    assert (starts(MOST), starts(MOST + 1)) == (True, False)
