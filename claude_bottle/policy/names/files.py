"""Files and folders inside the workloads of a bottle: the only list in Python. Pure.

Other files repeat some: the images' Dockerfiles, entry points and health checks.
"""

from __future__ import annotations

SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"
RECORD = "/var/lib/claude-bottle/record"  # of what a sidecar has released (claude_bottle/policy/record.py)

# egress and pipelock.
PROXY_PYTHON = "/opt/proxy/bin/python"
PROXY_RUN = "/run/claude-bottle"
PROXY_STATUS = f"{PROXY_RUN}/status.json"  # says which policy is in force
PROXY_ROOTS = f"{PROXY_RUN}/upstream-bundle.pem"  # trusted on the way out
EGRESS_ETC = "/etc/claude-bottle"
ROUTES = f"{EGRESS_ETC}/routes.json"
TOKENS = f"{EGRESS_ETC}/tokens.json"
PIPELOCK_ETC = "/etc/pipelock"
PIPELOCK_CONFIG = f"{PIPELOCK_ETC}/pipelock.yaml"
PIPELOCK_CA = f"{PIPELOCK_ETC}/ca.pem"
PIPELOCK_CA_KEY = f"{PIPELOCK_ETC}/ca-key.pem"

# git-gate.
GATE_ETC = "/etc/git-gate"
GATE_RUN = "/run/git-gate"
GATE_ROOTS = f"{GATE_RUN}/roots.pem"
MIRRORS = "/srv/git"

# supervise.
SUPERVISE_ETC = "/etc/supervise"
SUPERVISE_CA = f"{SUPERVISE_ETC}/ca.pem"
PROPOSALS = "/var/lib/supervise"

# The agent.
AGENT_HOME = "/home/node"
WORKSPACE = f"{AGENT_HOME}/workspace"
