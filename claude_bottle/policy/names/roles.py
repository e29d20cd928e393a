"""The parts of a bottle, by their roles, and the port that each of them serves: the one list. Pure.

What is no Python repeats a port: the images' Dockerfiles, entry points and health checks.
"""

from __future__ import annotations

PORTS = {"egress": 8080, "pipelock": 8888, "git-gate": 9418, "supervise": 9100}
SIDECAR_ROLES = tuple(PORTS)
ROLES = ("agent", *SIDECAR_ROLES)
