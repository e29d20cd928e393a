"""A command on a running container: run when the container or what it is given is new, never otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_command as command
import pulumi_docker as docker

from components.provider_engine import provider_engine


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


_UNTIL_READY = """
set -eu
# shellcheck disable=SC2086 # the words of the check
for _ in $(seq 150); do docker exec "$CONTAINER" $CHECK >/dev/null 2>&1 && exit 0; sleep 0.2; done
echo "$CONTAINER is not ready; its last words:" >&2
docker logs --tail 5 "$CONTAINER" >&2
exit 1
"""


def ready_command(
    name: str, check: Sequence[str], container: docker.Container, container_name: str, parent: pulumi.Resource
) -> command.local.Command:
    """Done when the check succeeds in the container: sooner than the engine, which looks once an interval."""
    return container_command(
        name, _UNTIL_READY, container, container_name, stdin="", env={"CHECK": " ".join(check)}, parent=parent
    )
