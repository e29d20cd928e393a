"""The parts of a bottle by their roles, with the port of each: the only list in Python. Pure.

Other files repeat the ports: the images' Dockerfiles, entry points and health checks.
"""

from __future__ import annotations

PORTS = {"egress": 8080, "pipelock": 8888, "git-gate": 9418, "supervise": 9100}
SIDECAR_ROLES = tuple(PORTS)
ROLES = ("agent", *SIDECAR_ROLES)
