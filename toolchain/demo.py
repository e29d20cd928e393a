"""Demonstrates on a running bottle what is allowed and what is refused, by requests from inside the agent."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

from claude_bottle.engines.chosen import inside_agent, use_engine_of
from claude_bottle.host.pulumi_stack import outputs
from claude_bottle.policy.own_command import own_command

# Shaped like a credential, invented, valid nowhere.
_SECRET = "ghp_" + "A1b2C3d4E5f6G7h8J9k0L1m2N3p4Q5r6S7t8"
_PROJECT = "https://api.github.com/repos/anthropics/x"
_DIRECT = ["--noproxy", "*", "--connect-timeout", "3"]


@dataclass(frozen=True)
class Trial:
    """what: shown to the owner. curl: the request, as arguments of curl."""

    what: str
    curl: list[str]


TRIALS = [
    Trial("the routes, asked of egress itself", ["http://_egress.local/routes"]),
    Trial("a declared host and path", ["https://api.github.com/zen"]),
    Trial("a declared host, another path", ["https://api.github.com/user"]),
    Trial("a host that is not declared", ["https://www.example.com/"]),
    Trial("a secret in the body", ["-d", f'{{"title": "x", "body": "{_SECRET}"}}', f"{_PROJECT}/issues"]),
    Trial("code written past git-gate", ["-d", "{}", f"{_PROJECT}/git/refs"]),
    Trial("a git push over https", ["https://api.github.com/a/b.git/info/refs?service=git-receive-pack"]),
    Trial("around the proxy", [*_DIRECT, "https://api.github.com/zen"]),
    Trial("the host machine, around the proxy", [*_DIRECT, "http://172.17.0.1/"]),
]


def attempt(container: str, trial: Trial) -> tuple[str, str]:
    """Verdict and reason of one trial."""
    kind = ["-H", "Content-Type: application/json"] if "-d" in trial.curl else []
    argv = inside_agent(container, ["curl", "-sS", "-m", "20", "-w", "\n%{http_code}", *kind, *trial.curl])
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return "no way out", done.stderr.strip().removeprefix("curl: ")[:70]
    body, _, status = done.stdout.rpartition("\n")
    return verdict(int(status), body)


def verdict(status: int, body: str) -> tuple[str, str]:
    """The decision in a response: who decided, and the reason."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = {}
    if status == 403 and body.startswith("egress:"):
        return "refused by egress", "git_push"
    if not isinstance(answer, dict) or "refused_by" not in answer:
        routes = (
            ", ".join(route["host"] for route in answer["routes"])
            if isinstance(answer, dict) and "routes" in answer
            else ""
        )
        return f"passed ({status})", routes or (body.strip().splitlines() or [""])[0][:60]
    if answer["reason"] == "unresolvable":
        return "allowed", "but this machine cannot resolve the name: no internet here"
    return f"refused by {answer['refused_by']}", str(answer["reason"])


def main() -> None:
    """Entry point: the stack's name is the argument."""
    stack = sys.argv[1]
    use_engine_of(stack)
    values = outputs(stack)
    container = str(values["agent_container"])
    print(f"\nThe bottle {stack} is up. From inside its agent:\n")
    for trial in TRIALS if stack == "demo" else TRIALS[:1]:
        verdict, reason = attempt(container, trial)
        print(f"  {trial.what:<38} {verdict:<20} {reason}")
    print(next_steps(stack))


def next_steps(stack: str) -> str:
    """The next commands after the first `up`, in a form that needs no activated shell."""
    verbs = [
        (own_command(f"attach {stack}"), "Claude Code in it (a stack with a token)"),
        (own_command(f"exec {stack} -- claude --version"), "any command in it"),
        (own_command(f"plan {stack}"), "what it can reach, what an edit would change (now: nothing)"),
        (own_command(f"down {stack}"), "deletes it"),
        (own_command("--help"), "every other verb, from any folder of the checkout"),
    ]
    width = max(len(verb) for verb, _ in verbs)
    lines = "\n".join(f"  {verb:<{width}}  {words}" for verb, words in verbs)
    last = f"The everyday bottle: export CLAUDE_CODE_OAUTH_TOKEN=…; {own_command('up claude')}"
    return f"\nTry next:\n{lines}\n\n{last}\n"


if __name__ == "__main__":
    main()
