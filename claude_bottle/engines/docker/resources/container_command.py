"""A command on a running container: run when the container or what it is given is new, never otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_command as command
import pulumi_docker as docker

from claude_bottle.engines.docker.drift import Drift
from claude_bottle.engines.docker.live import PYTHON, SIDECARS, version
from claude_bottle.engines.docker.resources.provider_engine import provider_engine
from claude_bottle.engines.local_command import local_command


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
    environment = {"CONTAINER": container_name, **provider_engine(), **env}
    opts = pulumi.ResourceOptions(parent=parent, deleted_with=container, depends_on=[after] if after else None)
    # A new container has a new id, which replaces the command; new content updates it.
    return local_command(name, script, environment, [container.id], opts, stdin)


# Both words and the probe's answer are kept in the state; the answer, on the last line, is what a later look is held
# against. A part that was stopped, by whom ever, is started: without a refresh the provider believes that it runs.
_READY = """
set -eu
state=$(docker inspect -f '{{.State.Status}}' "$CONTAINER" 2>/dev/null) || {
  echo "$CONTAINER is not there any more; run up again" >&2; exit 1; }
case $state in
  running) ;;
  paused) docker unpause "$CONTAINER" >/dev/null ;;
  *) docker start "$CONTAINER" >/dev/null ;;
esac
PUT
ready=no
# shellcheck disable=SC2086 # the words of the check
for _ in $(seq 150); do docker exec "$CONTAINER" $CHECK >/dev/null 2>&1 && { ready=yes; break; }; sleep 0.2; done
if [ $ready = no ]; then
  echo "$CONTAINER is not ready; its last words:" >&2
  docker logs --tail 5 "$CONTAINER" 2>&1 | tr -d '\\000-\\010\\013-\\037\\177' >&2
  exit 1
fi
probe=claude_bottle/engines/docker/live_probe.py
[ -z "$LOOK" ] || docker exec -i "$CONTAINER" KEEP "$LOOK" < "${CLAUDE_BOTTLE_ROOT:-.}/$probe"
"""


@dataclass
class ReadyArgs:
    """role: of a sidecar. put: a script that is run before the part can be ready, given `stdin`, and `env`.

    check: succeeds when it is. drift: what was found there when the program started. probed: the probe can run there.
    """

    role: str
    container: docker.Container
    container_name: str
    check: Sequence[str]
    drift: Drift
    put: str = ""
    stdin: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    probed: bool = True


def ready_command(name: str, args: ReadyArgs, parent: pulumi.Resource) -> command.local.Command:
    """Done when the check succeeds in the container: sooner than the engine, which looks once an interval.

    Runs again, besides for a new container, when the part was found stopped, or with a policy that was not put there.
    """
    sidecar = SIDECARS[args.role]
    env = {
        "CHECK": " ".join(args.check),
        "LOOK": sidecar.spec if args.probed else "",
        **({"PROBE": version(args.role)} if args.probed else {}),
        **({"DRIFT": args.drift.again} if args.drift.again else {}),
    }
    return container_command(
        name,
        _READY.replace("PUT", args.put).replace("KEEP", f"{' '.join(PYTHON)} keep"),
        args.container,
        args.container_name,
        stdin=args.stdin,
        env={**args.env, **env},
        parent=parent,
    )
