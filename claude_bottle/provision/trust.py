"""Makes the agent's programs trust the bottle's CA: the system's bundle, and stores of programs that read no bundle.

Scripts run in the agent. Their output is discarded, because the agent determines what its programs print.
"""

from __future__ import annotations

import sys
from typing import Any

from claude_bottle.manifest.agent_env import JAVA_STORE
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.names.files import AGENT_HOME, SYSTEM_ROOTS
from claude_bottle.workspace.agent_files import AgentFiles

CA_NAME = "claude-bottle-mitm-ca.crt"
CA_FILE = f"/usr/local/share/ca-certificates/{CA_NAME}"

# A second run with the same certificate changes nothing.
_INSTALL = f"""
umask 022
new=$(cat)
if [ "$new" != "$(cat {CA_FILE} 2>/dev/null)" ]; then
  printf "%s\\n" "$new" > {CA_FILE}
  update-ca-certificates --fresh
fi
grep -qF "$(printf "%s" "$new" | sed -n 2p)" {SYSTEM_ROOTS}
"""
# Java: a store without a password, which every JDK reads. Debian's own store is written by update-ca-certificates and
# left alone. Chromium: a managed policy (CACertificates: each a certificate in base64). Other browsers read NSS.
_STORES = f"""
umask 022
if [ ! -e /etc/ca-certificates/update.d/jks-keystore ]; then
  mkdir -p {JAVA_STORE.rpartition("/")[0]}
  openssl pkcs12 -export -nokeys -in {SYSTEM_ROOTS} -out {JAVA_STORE}.new -jdktrust anyExtendedKeyUsage \\
    -certpbe NONE -keypbe NONE -nomac -passout pass: && chmod 644 {JAVA_STORE}.new \\
    && mv {JAVA_STORE}.new {JAVA_STORE} || rm -f {JAVA_STORE}.new
fi
der=$(grep -v CERTIFICATE {CA_FILE} | tr -d "\\n")
for folder in /etc/chromium /etc/opt/chrome /etc/opt/chrome_for_testing; do
  mkdir -p $folder/policies/managed
  printf '{{"CACertificates": ["%s"]}}\\n' "$der" > $folder/policies/managed/claude-bottle.json
done
"""
_NSS = f"""
command -v certutil >/dev/null || exit 0
cd {AGENT_HOME}; umask 077; db=sql:.pki/nssdb
[ -e .pki/nssdb/cert9.db ] || {{ mkdir -p .pki/nssdb; certutil -N -d $db --empty-password; }}
certutil -D -d $db -n {CA_NAME} || true
certutil -A -d $db -t C,, -n {CA_NAME} -i {CA_FILE}
"""


def ca(given: dict[str, Any]) -> str:
    """Install the certificate `ca` (PEM). Raises BottleError if the system's bundle does not contain it afterwards.

    A failure in another store is only a warning: most agents have no program that reads them, and some lack openssl.
    """
    root, node = AgentFiles(given["container"], root=True), AgentFiles(given["container"])
    try:
        root.run(_INSTALL, given["ca"].encode())
    except BottleError:
        raise BottleError(
            f"the CA could not be installed in {root.container}; does it have update-ca-certificates?"
        ) from None
    for agent, script, what in (
        (root, _STORES, "Java or browsers in {} may not trust the CA"),
        (node, _NSS, "the NSS database of node in {} could not be written"),
    ):
        try:
            agent.run(script)
        except BottleError:
            print(f"warning: {what.format(root.container)}", file=sys.stderr)
    return f"installed {CA_NAME}, SHA-256 {given['sha256']}"
