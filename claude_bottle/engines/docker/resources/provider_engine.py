"""The engine of the running stack, for what is not done by Pulumi's provider but beside it."""

from __future__ import annotations

import pulumi

from claude_bottle.engines.docker.address import CERTIFICATES, HOST, engine_variables


def provider_engine() -> dict[str, str]:
    """The variables of the engine that the provider uses: a command that runs beside it must be told of them."""
    config = pulumi.Config("docker")
    return engine_variables({HOST: config.get("host"), CERTIFICATES: config.get("certPath")})
