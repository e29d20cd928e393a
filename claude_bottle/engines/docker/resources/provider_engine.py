"""The engine of the running stack, for commands that run beside Pulumi's provider."""

from __future__ import annotations

import pulumi

from claude_bottle.engines.docker.address import CERTIFICATES, HOST, engine_variables


def provider_engine() -> dict[str, str]:
    """The variables that select the provider's engine. Every command that runs beside the provider needs them."""
    config = pulumi.Config("docker")
    return engine_variables({HOST: config.get("host"), CERTIFICATES: config.get("certPath")})
