"""Steps on a running container. A step runs again only if the container or one of its inputs is new."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker

from claude_bottle.engines.declare import Step, Text
from claude_bottle.engines.docker.client import attach_line
from claude_bottle.engines.docker.live.drift import Drift
from claude_bottle.engines.docker.live.look import PYTHON, version
from claude_bottle.engines.docker.resources.provider_engine import provider_engine
from claude_bottle.engines.local_command import local_command
from claude_bottle.engines.sidecars import SIDECARS

# The output and the probe's answer are kept in the state. The answer, on the last line, is what later inspections are
# compared with. A stopped container is started here, because without a refresh the provider believes that it runs.
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
probe=claude_bottle/engines/docker/live/probe.py
[ -z "$LOOK" ] || docker exec -i "$CONTAINER" KEEP "$LOOK" < "${CLAUDE_BOTTLE_ROOT:-.}/$probe"
"""


@dataclass
class RunningContainer:
    """check: succeeds when the container is ready. drift: found when the program started."""

    role: str
    name: str
    container: docker.Container
    check: Sequence[str] = ()
    drift: Drift = field(default_factory=Drift)

    @property
    def created_name(self) -> pulumi.Output[str]:
        return self.container.name

    def attach(self, *argv: str) -> str:
        return attach_line(provider_engine(), self.name, argv)

    def step(
        self,
        name: str,
        argv: Sequence[str],
        parent: pulumi.Resource,
        *,
        stdin: Text = "",
        after: Sequence[pulumi.Resource] = (),
    ) -> Step:
        return self._run(name, f"exec {shlex.join(argv)}", parent, stdin, {}, after)

    def ready(
        self,
        name: str,
        parent: pulumi.Resource,
        *,
        put: Sequence[str] = (),
        stdin: str = "",
        probed: bool = True,
    ) -> Step:
        """Polls the check five times a second, which is sooner than the engine's health check."""
        environment = {
            "CONTAINER": self.name,
            "CHECK": " ".join(self.check),
            "LOOK": SIDECARS[self.role].spec if probed else "",
            **({"PROBE": version(self.role)} if probed else {}),
            **({"DRIFT": self.drift.again} if self.drift.again else {}),
        }
        inside = f'docker exec -i -u 0 "$CONTAINER" {shlex.join(put)}' if put else ""
        script = _READY.replace("PUT", inside).replace("KEEP", f"{' '.join(PYTHON)} keep")
        return self._run(name, script, parent, stdin, environment)

    def _run(
        self,
        name: str,
        script: str,
        parent: pulumi.Resource,
        stdin: Text,
        environment: Mapping[str, Text],
        after: Sequence[pulumi.Resource] = (),
    ) -> Step:
        opts = pulumi.ResourceOptions(parent=parent, deleted_with=self.container, depends_on=[*after])
        # A new container has a new id, which replaces the command. New content updates it.
        every = {**provider_engine(), **environment}
        command = local_command(name, script, every, [self.container.id], opts, stdin)
        return Step(command, command.stdout)
