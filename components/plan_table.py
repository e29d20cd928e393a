"""`python -m components.plan_table STACK`: the plan as a table, and what it changes on the running bottle."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from addons.egress_core import DEFAULT_METHODS

Plan = Mapping[str, Any]


def plans(preview: Mapping[str, Any]) -> tuple[Plan | None, Plan | None]:
    """The plan of the running bottle and the planned one, from the object that `pulumi preview --json` prints."""
    for step in preview.get("steps", []):
        if "claude-bottle:bottle:Bottle::" in step["urn"] and step["op"] != "refresh":
            old, new = (step.get(f"{age}State", {}).get("inputs", {}).get("plan") for age in ("old", "new"))
            return old, new
    for step in preview.get("steps", []):  # an unchanged bottle is not among the steps, but its outputs are
        plan = step.get("oldState", {}).get("outputs", {}).get("plan")
        if step["urn"].split("::")[2] == "pulumi:pulumi:Stack" and plan:
            return plan, plan
    return None, None


def rows(plan: Plan) -> Iterator[tuple[str, str]]:
    """What a person wants to know of a bottle: heading and text."""
    agent, pipelock = plan["agent"], plan["pipelock"]
    for route in plan["egress"]["routes"]:
        yield "can reach", describe_route(route)
    if not plan["egress"]["routes"]:
        for host in pipelock["allowlist"]:
            yield "can reach", f"{host} (no route, no credential)"
        if not pipelock["allowlist"]:
            yield "can reach", "nothing outside"
    for host in plan["pipelock"]["passthrough"]:
        if host in pipelock["allowlist"]:
            yield "not read", f"{host}: what is said there is not looked at for secrets"
    for slot, ref in plan["egress"]["token_slots"].items():
        hosts = [route["host"] for route in plan["egress"]["routes"] if route["token_slot"] == slot]
        yield "injected", f"{ref} at {', '.join(dict.fromkeys(hosts))}; the agent never has it"
    if agent["claude_placeholder"]:
        yield "injected", "a placeholder for Claude Code, so that it believes it is signed in"
    if plan["prompt_sha256"]:
        yield "copied in", "the prompt"
    for skill in plan["skills"]:
        yield "copied in", f"skill {skill['name']} from {skill['source']}"
    for remote in plan["git_remotes"]:
        extra = [f"{word} allowed" for word in ("force", "deletes") if remote[word] == "allow"]
        rights = ", ".join([f"push to {' or '.join(remote['branches'])}", *extra])
        yield "git", f"{remote['upstream']}: fetch; {rights}; every commit scanned"
    workspace = plan["workspace"]
    if workspace and workspace["mode"] == "copy":
        git = ", with its .git" if workspace["copy_git"] else ""
        yield "copied in", f"workspace: {workspace['files']} files of {workspace['source']}{git}"
    elif workspace:
        yield "mounted", f"workspace: {workspace['source']}, which the agent can write to"
    yield "agent", f"{agent['image']}, {agent['memory']} memory, {agent['cpus']:g} cpus, home {agent['home_volume']}"
    for kind in ("apt", "npm"):
        if agent[kind]:
            yield "agent", f"{kind} packages: {', '.join(agent[kind])}"
    if agent["env"]:
        yield "agent", f"env: {', '.join(agent['env'])}"


def describe_route(route: Mapping[str, Any]) -> str:
    """A route in words."""
    paths = " or ".join(route["path"]) or "every path"
    token = f", with {route['auth_scheme']} {route['token_slot']}" if route["token_slot"] else ""
    methods = "every method" if route["methods"] == list(DEFAULT_METHODS) else ", ".join(route["methods"])
    until = f", until {route['until']}" if route.get("until") else ""
    return f"{route['host']}: {methods} on {paths}{token}{until}"


def changes(old: Plan | None, new: Plan) -> Iterator[str]:
    """What an `up` would change for the agent, in plain words."""
    if old is None:
        yield "+ the bottle is new"
        return
    before, after = ({describe_route(route): route for route in p["egress"]["routes"]} for p in (old, new))
    for text in before.keys() - after.keys():
        yield f"- the agent loses {text}"
    for text in after.keys() - before.keys():
        yield f"+ the agent gains {text}"
    for key, what in (("allowlist", "let through by pipelock"), ("passthrough", "no longer looked into for secrets")):
        was, now = set(old["pipelock"][key]), set(new["pipelock"][key])
        yield from (f"- {host}: not {what} any more" for host in sorted(was - now))
        yield from (f"+ {host}: {what}" for host in sorted(now - was))
    was_git, now_git = ({r["name"]: r for r in p.get("git_remotes", [])} for p in (old, new))
    yield from (f"- the agent loses git {was_git[name]['upstream']}" for name in was_git.keys() - now_git.keys())
    yield from (f"+ the agent gains git {now_git[name]['upstream']}" for name in now_git.keys() - was_git.keys())
    said = {("egress", "routes"), ("pipelock", "until"), ("pipelock", "allowlist"), ("pipelock", "passthrough")}
    for path in sorted(_differing(old, new)):
        if path[:2] not in said and path[:2] != ("egress", "token_slots"):
            yield f"~ {'.'.join(path)}: {_short(_at(old, path))} → {_short(_at(new, path))}"


def _differing(old: Any, new: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in {*old, *new}:
            yield from _differing(old.get(key), new.get(key), (*path, key))
    elif old != new:
        yield path


def _at(plan: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        plan = plan.get(key) if isinstance(plan, Mapping) else None
    return plan


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:12]}…"


def show(preview: Mapping[str, Any], console: Console) -> bool:
    """Print the table; False when there is no plan in what Pulumi said."""
    old, new = plans(preview)
    if new is None:
        for told in preview.get("diagnostics", []):
            console.print(Text(str(told.get("message", "")).rstrip()))
        return False
    table = Table(title=f"bottle {new['stack']}", show_header=False, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    last = ""
    for heading, text in rows(new):
        table.add_row("" if heading == last else heading, Text(text))
        last = heading
    console.print(table)
    told = list(changes(old, new))
    console.print(Text("pulumi up would change:" if told else "pulumi up would change nothing in the plan"))
    for line in told:
        style = {"+": "green", "-": "red", "~": "yellow"}[line[0]]
        console.print(Text(f"  {line}", style=style))
    return True


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m components.plan_table", description=__doc__)
    parser.add_argument("stack", help="name of the stack")
    stack = parser.parse_args().stack
    done = subprocess.run(
        ["pulumi", "preview", "--json", "--stack", stack], capture_output=True, text=True, check=False
    )
    try:
        preview = json.loads(done.stdout)
    except ValueError:
        print(done.stderr or done.stdout, file=sys.stderr)
        return 1
    if not show(preview, Console(highlight=False, width=None if sys.stdout.isatty() else 120)) or done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
