"""What is done in the agent once it runs, as commands: ca → prompt → skills → workspace → git → supervise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.declare import Running
from claude_bottle.host.type_tokens import token
from claude_bottle.manifest.agent_env import CA_BUNDLE, JAVA_STORE
from claude_bottle.policy.names.roles import PORTS
from claude_bottle.workspace.copies import Copies
from components.agent import CA_FILE, CA_NAME


@dataclass(frozen=True)
class _Inside:
    """A script that is run in the agent, as this user. Its words do not reach the owner's terminal, and it ends.

    otherwise: what the owner is told where it fails. fails: without it, the bottle is up all the same.

    The agent may have put a pipe in a file's place, and root there another program in any program's.
    """

    user: str
    script: str
    otherwise: str
    fails: bool = True

    def of(self, agent: Running) -> str:
        """The command of the owner's shell."""
        run = f"timeout 90 {agent.enter(self.user)} timeout -k 1 60 sh -eu -c '{self.script}' >/dev/null 2>&1"
        return f'{run} || {{ echo "{self.otherwise}" >&2; {"exit 1" if self.fails else ":"}; }}'


# A second run with the same certificate changes nothing.
_INSTALL_CA = _Inside(
    "0",
    f"""
  umask 022
  new=$(cat)
  if [ "$new" != "$(cat {CA_FILE} 2>/dev/null)" ]; then
    printf "%s\\n" "$new" > {CA_FILE}
    update-ca-certificates --fresh
  fi
  grep -qF "$(printf "%s" "$new" | sed -n 2p)" {CA_BUNDLE}
""",
    "the CA could not be installed in $CONTAINER; is update-ca-certificates there?",
)
# Programs that read no bundle. Neither fails the bottle: most have no such program, and some no openssl.
# Java: a store without a password, which every JDK reads; Debian's own is made by update-ca-certificates, and left.
# Chromium: a managed policy (CACertificates: each a certificate in base64). Browsers of other makes read the database.
_TRUST_ELSEWHERE = _Inside(
    "0",
    f"""
  umask 022
  if [ ! -e /etc/ca-certificates/update.d/jks-keystore ]; then
    mkdir -p {JAVA_STORE.rpartition("/")[0]}
    openssl pkcs12 -export -nokeys -in {CA_BUNDLE} -out {JAVA_STORE}.new -jdktrust anyExtendedKeyUsage \\
      -certpbe NONE -keypbe NONE -nomac -passout pass: && chmod 644 {JAVA_STORE}.new \\
      && mv {JAVA_STORE}.new {JAVA_STORE} || rm -f {JAVA_STORE}.new
  fi
  der=$(grep -v CERTIFICATE {CA_FILE} | tr -d "\\n")
  for folder in /etc/chromium /etc/opt/chrome /etc/opt/chrome_for_testing; do
    mkdir -p $folder/policies/managed
    printf "{{\\"CACertificates\\": [\\"%s\\"]}}\\n" "$der" > $folder/policies/managed/claude-bottle.json
  done
""",
    "warning: Java or browsers in $CONTAINER may not trust the CA",
    fails=False,
)
_TRUST_NSS = _Inside(
    "node",
    f"""
  command -v certutil >/dev/null || exit 0
  cd /home/node; umask 077; db=sql:.pki/nssdb
  [ -e .pki/nssdb/cert9.db ] || {{ mkdir -p .pki/nssdb; certutil -N -d $db --empty-password; }}
  certutil -D -d $db -n {CA_NAME} || true
  certutil -A -d $db -t C,, -n {CA_NAME} -i {CA_FILE}
""",
    "warning: the NSS database of node in $CONTAINER could not be written",
    fails=False,
)
# Claude Code reads every file of this folder when a session starts, however it is started; CLAUDE.md is the agent's.
_PUT_PROMPT = _Inside(
    "node",
    """
  umask 022
  cd /home/node/.claude 2>/dev/null || { mkdir /home/node/.claude; cd /home/node/.claude; }
  mkdir -p rules
  cat > rules/.claude-bottle-prompt.new
  if [ -s rules/.claude-bottle-prompt.new ]; then mv rules/.claude-bottle-prompt.new rules/claude-bottle-prompt.md
  else rm -f rules/.claude-bottle-prompt.new rules/claude-bottle-prompt.md; fi
""",
    "the prompt could not be put into $CONTAINER; is /home/node full, or not of node?",
)
# A file of its own, included by ~/.gitconfig, where the agent may keep settings too.
_PUT_GIT = _Inside(
    "node",
    """
  cd /home/node; umask 022
  cat > .gitconfig-claude-bottle.new; mv .gitconfig-claude-bottle.new .gitconfig-claude-bottle
  command -v git >/dev/null || exit 0
  git config --global --get-all include.path | grep -qxF "~/.gitconfig-claude-bottle" \\
    || git config --global --add include.path "~/.gitconfig-claude-bottle"
""",
    "git could not be configured in $CONTAINER; is /home/node full, or ~/.gitconfig broken?",
)
# Never fails the bottle: without the registration, the agent works all the same and only cannot ask.
_REGISTER = """
add="claude mcp add --scope user --transport http supervise http://supervise:PORT/"
look='grep -c "http://supervise:PORT/" /home/node/.claude.json | head -c 9'
there=$(timeout 30 ENTER timeout -k 1 20 sh -c "$look" 2>/dev/null | tr -cd 0-9)
[ "$WANTED" = yes ] && [ "${there:-0}" -gt 0 ] && exit 0
[ "$WANTED" = no ] && [ "${there:-0}" -eq 0 ] && exit 0
[ "$WANTED" = yes ] || add="claude mcp remove --scope user supervise"
timeout 90 ENTER sh -c "cd /home/node && timeout -k 1 60 $add" >/dev/null 2>&1 && exit 0
echo "warning: the agent's MCP server list could not be changed; by hand: BY_HAND $add" >&2
"""
_COPY = 'exec python3 -m claude_bottle.workspace.copy_step "$KIND"'


@dataclass
class ProvisioningArgs:
    """ca: the certificate that the agent trusts, PEM. sha256: its fingerprint, for the log. copies: what is copied.

    proven: done when the bottle is known to be closed; nothing of the owner's is copied before.
    """

    agent: Running
    stack: str
    ca: pulumi.Output[str]
    sha256: pulumi.Output[str]
    copies: Copies
    git_config: str
    supervise: bool
    proven: pulumi.Resource


class Provisioning(pulumi.ComponentResource):
    """Each step runs again when the agent or its content is new, and does nothing when neither is."""

    def __init__(self, name: str, args: ProvisioningArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("Provisioning"), name, {}, formerly(opts, "provisioning:Provisioning"))
        self._name, self._agent = name, args.agent
        self._last: list[pulumi.Resource] = []
        trust = "\n".join(step.of(self._agent) for step in (_INSTALL_CA, _TRUST_ELSEWHERE, _TRUST_NSS))
        said = f'\necho "installed {CA_NAME}, SHA-256 $FINGERPRINT"'
        self._step("ca", trust + said, args.ca, {"FINGERPRINT": args.sha256})
        self._last.append(args.proven)
        self._step("prompt", _PUT_PROMPT.of(self._agent), args.copies.prompt, {})
        skills = [{"name": skill.name, "source": skill.source, "digest": skill.digest} for skill in args.copies.skills]
        self._step("skills", _COPY, json.dumps({"container": self._agent.name, "skills": skills}), {"KIND": "skills"})
        workspace = args.copies.workspace
        if workspace is not None and workspace.mode == "copy":
            plan = {
                "container": self._agent.name,
                "stack": args.stack,
                "source": workspace.source,
                "digest": workspace.digest,
                "copy_git": workspace.copy_git,
                **({"branches": workspace.branches} if workspace.copy_git else {}),
            }
            self._step("workspace", _COPY, json.dumps(plan), {"KIND": "workspace"})
        self._step("git", _PUT_GIT.of(self._agent), args.git_config, {})
        enter = self._agent.enter("node", stdin=False)
        register = _REGISTER.replace("ENTER", enter).replace("BY_HAND", enter.replace('"', ""))
        register = register.replace("PORT", str(PORTS["supervise"]))
        self._step("supervise", register, "", {"WANTED": "yes" if args.supervise else "no"})
        self.register_outputs({})

    def _step(self, what: str, script: str, stdin: pulumi.Input[str], env: Mapping[str, pulumi.Input[str]]) -> None:
        """One step, after the one before it."""
        step = self._agent.step(f"{self._name}-{what}", script, self, stdin=stdin, env=env, after=self._last)
        self._last = [step.resource]
