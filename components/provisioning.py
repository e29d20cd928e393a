"""What is done in the agent once it runs, as dependent command resources: ca, then (as they are built) the rest."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_command as command
import pulumi_docker as docker

from components.agent import CA_FILE, CA_NAME
from components.container_command import container_command

# Says which certificate the agent trusts now; a second run with the same one changes nothing.
_INSTALL_CA = f"""
docker exec -i -u 0 "$CONTAINER" sh -eu -c '
  umask 022
  new=$(cat)
  if [ "$new" != "$(cat {CA_FILE} 2>/dev/null)" ]; then
    printf "%s\\n" "$new" > {CA_FILE}
    update-ca-certificates --fresh >/dev/null 2>&1
  fi
  grep -qF "$(printf "%s" "$new" | sed -n 2p)" /etc/ssl/certs/ca-certificates.crt
' || {{ echo "the CA could not be installed in $CONTAINER; is update-ca-certificates there?" >&2; exit 1; }}
echo "installed {CA_NAME}, SHA-256 $FINGERPRINT"
"""


@dataclass
class ProvisioningArgs:
    """ca: the certificate that the agent trusts, PEM. sha256: its fingerprint, for the log."""

    container: docker.Container
    container_name: str
    ca: pulumi.Output[str]
    sha256: pulumi.Output[str]


class Provisioning(pulumi.ComponentResource):
    """Each step runs again when the container or its content is new, and does nothing when neither is."""

    ca: command.local.Command

    def __init__(self, name: str, args: ProvisioningArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("claude-bottle:provisioning:Provisioning", name, {}, opts)
        self.ca = container_command(
            f"{name}-ca",
            _INSTALL_CA,
            args.container,
            args.container_name,
            stdin=args.ca,
            env={"FINGERPRINT": args.sha256},
            parent=self,
        )
        self.register_outputs({})
