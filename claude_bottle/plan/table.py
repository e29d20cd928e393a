"""The plan as a table, and what it changes on the running bottle, from the output of `pulumi preview --json`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from claude_bottle.host.type_tokens import is_of
from claude_bottle.manifest.renamed import STILL_WORKS
from claude_bottle.plan.diff import changes, secrets_changed
from claude_bottle.plan.facts import Facts
from claude_bottle.plan.interrupts import interruptions
from claude_bottle.plan.places import Ground, Plan, rights
from claude_bottle.plan.words import OWN, REACH, lines, when
from claude_bottle.policy.errors import one_line, printable
from claude_bottle.policy.routes.expiry import ended, parse_until

HEADINGS = (REACH, "ended", "no route", "not read", "internal", OWN, "injected", "DLP", "trusted roots", "network",
            "git", "copied in", "mounted", "supervise", "agent")  # fmt: skip

_COLOUR = re.compile(r"<\{%[^%]*%\}>")


def plans(preview: Mapping[str, Any]) -> tuple[Plan | None, Plan | None]:
    """The plan of the running bottle and the new one, from the object that `pulumi preview --json` prints."""
    for step in preview.get("steps", []):
        if is_of("Bottle", step["urn"]) and step["op"] != "refresh":
            old, new = (step.get(f"{age}State", {}).get("inputs", {}).get("plan") for age in ("old", "new"))
            return old, new
    for step in preview.get("steps", []):  # an unchanged bottle has no step, but the stack's outputs have its plan
        plan = step.get("oldState", {}).get("outputs", {}).get("plan")
        if step["urn"].split("::")[2] == "pulumi:pulumi:Stack" and plan:
            return plan, plan
    return None, None


def rows(plan: Plan) -> list[tuple[str, str]]:
    """The plan for a person: heading and text, in the order of `HEADINGS`.

    Two plans have the same rows only if they have the same effect.
    """
    facts = Facts.of(plan)
    pairs = [*_places(plan), *_refused(plan), *_injected(plan), *_copied(plan), *_agent(plan)]
    pairs += [("git", f"git {remote['upstream']}: is {remote['served_as']}") for remote in plan["git_remotes"]]
    pairs += [*facts.gives.values(), *facts.holds.values()]
    pairs += [(heading, f"{abs(number):g} {unit}") for heading, number, unit in facts.amounts.values()]
    return sorted(pairs, key=lambda row: HEADINGS.index(row[0]))


def _places(plan: Plan) -> Iterator[tuple[str, str]]:
    ground = Ground((plan,))
    given = {
        place: {right: when(spans, ground) for right, spans in held.items()}
        for place, held in rights(plan, ground).items()
    }
    said = lines(given, ground, whole=True)
    yield from ((line.kind, str(line)) for line in said if line.kind != OWN)
    if not any(line.kind == REACH for line in said):
        yield REACH, "nothing outside"
    own: dict[str, list[str]] = {}
    for line in said:
        if line.kind == OWN:
            own.setdefault(line.words, []).append(line.hosts)
    yield from ((OWN, f"{', '.join(hosts)}: {words}") for words, hosts in own.items())


def _injected(plan: Plan) -> Iterator[tuple[str, str]]:
    for ref in plan["egress"]["token_slots"].values():
        hosts = [route["host"] for route in plan["egress"]["routes"] if route["token_ref"] == ref]
        yield "injected", f"{ref} at {', '.join(dict.fromkeys(hosts))}; the agent never has it"


def _agent(plan: Plan) -> Iterator[tuple[str, str]]:
    agent = plan["agent"]
    yield "agent", f"{agent['image']}, home {agent['home_volume']}"
    if agent["command"] is not None:
        yield "agent", f"command: {json.dumps(agent['command'], ensure_ascii=False)}"
    for name, digest in agent["env"].items():
        yield "agent", f"env: {name} (sha256 {str(digest)[:16]})"


def _refused(plan: Plan) -> Iterator[tuple[str, str]]:
    if plan["agent"]["proxy"] != "egress":
        return
    for route in plan["egress"]["routes"]:
        if route.get("until") and ended(parse_until(route["until"])):
            places = " or ".join(route["path"]) or "every path"
            methods = ", ".join(route["methods"])
            yield "ended", f"{route['host']}: {methods} on {places}; no other route replaces it"
    hosts = {route["host"] for route in plan["egress"]["routes"]}
    for item in plan["pipelock"]["allow"]:
        if item["host"] not in hosts:
            yield "no route", f"{item['host']}: pipelock would allow it, but it has no route"


def _copied(plan: Plan) -> Iterator[tuple[str, str]]:
    if plan["prompt_sha256"]:
        yield "copied in", f"the prompt (sha256 {plan['prompt_sha256'][:16]})"
    for skill in plan["skills"]:
        yield "copied in", f"contents of {skill['name']}: sha256 {skill['sha256'][:16]}"
    workspace = plan["workspace"]
    if workspace and workspace["mode"] == "copy":
        git = ", with its .git" if workspace["copy_git"] else ""
        yield (
            "copied in",
            f"{workspace['files']} files of {workspace['source']}{git} (sha256 {workspace['sha256'][:16]})",
        )


def drifts(preview: Mapping[str, Any]) -> Iterator[str]:
    """Differences that the program has found in the sidecars, and sidecars that it could not inspect."""
    for diagnostic in preview.get("diagnostics", []):
        before, mark, words = str(diagnostic.get("message", "")).partition("drift: ")
        if mark and "\n" not in before:
            yield words.replace("<{%reset%}>", "").strip()


def hints(preview: Mapping[str, Any]) -> list[str]:
    """The program's hints about keys with old names in the file, each once."""
    said = [_COLOUR.sub("", str(one.get("message", ""))).strip() for one in preview.get("diagnostics", [])]
    return [words for words in dict.fromkeys(said) if words.endswith(STILL_WORKS) and "\n" not in words]


def show(preview: Mapping[str, Any], console: Console) -> bool:
    """Print the table. Returns False if Pulumi's output has no plan.

    All output passes through `one_line` or `printable`, so that no value of a manifest controls the terminal.
    """
    old, new = plans(preview)
    if new is None:
        for diagnostic in preview.get("diagnostics", []):
            console.print(Text(printable(str(diagnostic.get("message", "")).rstrip())))
        return False
    table = Table(title=one_line(f"bottle {new['stack']}"), show_header=False, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    last = ""
    for heading, text in rows(new):
        table.add_row("" if heading == last else heading, Text(one_line(text)))
        last = heading
    console.print(table)
    changed = [*changes(old, new), *secrets_changed(preview.get("steps", []))]
    console.print(Text("pulumi up would change:" if changed else "pulumi up would change nothing in the plan"))
    for line in changed:
        style = {"+": "green", "-": "red", "~": "yellow"}[line[0]]
        console.print(Text(f"  {one_line(line)}", style=style))
    for line in interruptions(preview.get("steps", [])):
        console.print(Text(f"  ! {one_line(line)}", style="yellow"))
    for line in drifts(preview):
        console.print(Text(one_line(f"changed by hand, and corrected by pulumi up: {line}"), style="red"))
    for line in hints(preview):
        console.print(Text(one_line(line), style="yellow"))
    return True


def as_json(preview: Mapping[str, Any]) -> dict[str, Any] | None:
    """The same for programs: the plan, the changes of an `up`, interruptions, drift, old names of keys; None without a
    plan.
    """
    old, new = plans(preview)
    if new is None:
        return None
    changed = [*changes(old, new), *secrets_changed(preview.get("steps", []))]
    ends = list(interruptions(preview.get("steps", [])))
    seen = {"drift": list(drifts(preview)), "hints": hints(preview)}
    return {"stack": new["stack"], "plan": new, "changes": changed, "interrupts": ends, **seen}
