"""The ports of the one list are those that the images serve, which are no Python and repeat them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from claude_bottle.policy.names.roles import PORTS, ROLES, SIDECAR_ROLES

IMAGES = Path(__file__).resolve().parents[2] / "sidecar_images"
FOLDERS = {"egress": "proxy", "pipelock": "proxy", "git-gate": "git_gate", "supervise": "supervise"}


@pytest.mark.parametrize("role", SIDECAR_ROLES)
def test_an_image_exposes_its_ports(role: str) -> None:
    exposed = re.search(r"(?m)^EXPOSE (.*)$", (IMAGES / FOLDERS[role] / "Dockerfile").read_text())
    assert exposed is not None
    assert str(PORTS[role]) in exposed[1].split()


def test_scripts_name_no_other_port() -> None:
    entry = (IMAGES / "proxy/entrypoint.sh").read_text()
    assert set(re.findall(r"\b[0-9]{4}\b", entry)) - {"4194304"} >= {str(PORTS["egress"]), str(PORTS["pipelock"])}
    assert f'upstream:http://${{EGRESS_UPSTREAM:-pipelock:{PORTS["pipelock"]}}}" {PORTS["egress"]} ' in entry
    assert f"set -- regular {PORTS['pipelock']} " in entry
    for role in ("git-gate", "supervise"):
        assert str(PORTS[role]) in (IMAGES / FOLDERS[role] / "healthy.sh").read_text()


def test_the_agent_is_no_sidecar() -> None:
    assert (*ROLES[:1], *SIDECAR_ROLES) == ROLES
