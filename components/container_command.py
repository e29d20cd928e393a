"""A command on a running container: run when the container or what it is given is new, never otherwise."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_command as command
import pulumi_docker as docker

from components.engine_address import CERTIFICATES, HOST, engine_variables


def provider_engine() -> dict[str, str]:
    """The variables of the engine that the provider uses: a command that runs beside it must be told of them."""
    config = pulumi.Config("docker")
    return engine_variables({HOST: config.get("host"), CERTIFICATES: config.get("certPath")})


def container_command(
    name: str,
    script: str,
    container: docker.Container,
    container_name: str,
    *,
    stdin: pulumi.Input[str],
    env: Mapping[str, pulumi.Input[str]],
    parent: pulumi.Resource,
    after: pulumi.Resource | None = None,
) -> command.local.Command:
    """Run `script`, which must be idempotent; values reach it by $CONTAINER, `env` and `stdin`, never in its text."""
    return command.local.Command(
        name,
        create=script,
        stdin=stdin,
        environment={"CONTAINER": container_name, **provider_engine(), **env},
        # A new container has a new id, which replaces the command; new content updates it.
        triggers=[container.id],
        add_previous_output_in_env=False,
        opts=pulumi.ResourceOptions(parent=parent, deleted_with=container, depends_on=[after] if after else None),
    )
