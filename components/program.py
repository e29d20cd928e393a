"""The program of a stack: reads its config, checks everything, then registers its bottle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pulumi
from pulumi.runtime.config import CONFIG, is_config_secret

from claude_bottle.checks.preflight import machine_findings, other_workspace, renamed
from claude_bottle.checks.validation import Examined, examine
from claude_bottle.engines.chosen import declared_engine, not_followed
from claude_bottle.engines.client import EngineError
from claude_bottle.host.checkout import TAKE_OVER, here, other_checkout
from claude_bottle.host.machine_roots import advice, not_named
from claude_bottle.host.stack_names import STACKS
from claude_bottle.host.state_files import room
from claude_bottle.manifest.config_keys import PROJECT, config_findings, mistyped_bottle
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.routes import assign_slots
from claude_bottle.manifest.secrets_in_clear import token_names
from claude_bottle.policy.errors import NOT_SHOWN, Finding, ManifestError
from claude_bottle.policy.own_command import own_command
from claude_bottle.presets.use import use_presets

if TYPE_CHECKING:
    from claude_bottle.engines.chosen import Machine


def run(stack: str, machine: Machine) -> list[str]:
    """Register the bottle of a stack. Returns its drift, in words, which an `up` repairs.

    Raises BottleError before anything is registered.
    """
    from components.bottle import Bottle, BottleArgs

    config = pulumi.Config(PROJECT)
    base = Path.cwd() / STACKS  # the folder of the stack files, to which their relative file names refer
    examined = read_manifest(config, stack, base, machine)
    manifest, copies = examined.readable, examined.copies
    tokens = secret_tokens(config, manifest)
    if (manifest.routed or manifest.pipelock.allow) and (files := not_named(manifest.pipelock.ca_files, base)):
        pulumi.log.warn(advice(files))
    drifts = machine.drifts()
    differences = [words for drift in drifts.values() for words in drift.differences]
    for words in (*differences, *(drift.unseen for drift in drifts.values() if drift.unseen)):
        pulumi.log.warn(f"drift: {words}")
    engine = declared_engine(machine, drifts)
    args = BottleArgs(stack, manifest, tokens, copies, examined.remotes, base, engine, here(base.parent))
    for output, value in Bottle(stack, args).outputs.items():
        pulumi.export(output, value)
    if pulumi.runtime.is_dry_run() and copies.workspace is not None and machine.last_checkout():
        pulumi.log.info(
            f"pulumi destroy deletes work that was not pulled, and does not ask; {own_command(f'down {stack}')} does"
        )
    return differences


def read_manifest(config: pulumi.Config, stack: str, base: Path, machine: Machine) -> Examined:
    """The stack's examined file, with a valid manifest, on a machine that can run it.

    Raises ManifestError with all problems of the file and the machine at once. Warns of keys in the file that have old
    names.
    """
    raw, unanswered = use_presets(_raw(config), base)
    examined = examine(raw, lambda ref: find_secret(config, ref), base, _secrets(), stack)
    keys = {key: is_config_secret(key) for key in CONFIG.get()}
    findings = [*config_findings(keys, stack, token_names(raw) if isinstance(raw, Mapping) else ())]
    if not mistyped_bottle(keys):  # reported once, without the errors that follow from it
        findings += [*unanswered, *examined.findings]
    wrong = {finding.path for finding in findings}
    try:
        workspace = examined.copies.workspace
        seen = machine_findings(stack, examined.readable, machine.facts, machine.known_ids, workspace)
        findings += [one for one in map(examined.names.as_written, seen) if one.path not in wrong]
        findings += not_followed(stack)
        findings += renamed(machine.bottles_name(), stack)
        findings += other_workspace(machine.last_plan(), workspace, stack)
        if not os.environ.get(TAKE_OVER):
            last = machine.last_checkout()
            exists = Path(last.get("folder", "")).is_dir()
            findings += other_checkout(last, here(base.parent), stack, exists=exists)
        if (full := room(stack)) is not None:
            findings.append(full)
    except EngineError as error:
        findings.append(Finding("state", NOT_SHOWN, str(error)))
    if findings or examined.manifest is None:
        raise ManifestError(findings)
    for hint in examined.names.hints():
        pulumi.log.warn(hint)
    return examined


def _raw(config: pulumi.Config) -> object:
    """The bottle from the stack's config; the text itself if it is not an object."""
    try:
        return config.get_object("bottle")
    except pulumi.ConfigTypeError:
        return config.get("bottle")


def _secrets() -> dict[str, str]:
    """Every secret of the stack's config by name, including those that no route names."""
    secrets = {key.partition(":")[2]: str(value) for key, value in CONFIG.get().items() if is_config_secret(key)}
    return {name: value for name, value in secrets.items() if name != "bottle"}


def find_secret(config: pulumi.Config, ref: str) -> str | None:
    """The stack's config value of that name, else the host's environment variable of that name."""
    return config.get(ref) or os.environ.get(ref) if ref else None


def secret_tokens(config: pulumi.Config, manifest: Manifest) -> dict[str, pulumi.Output[str]]:
    """token_ref to its value, as secret outputs only."""
    refs = [*assign_slots(manifest.egress), *filter(None, [manifest.pipelock.upstream_proxy_ref])]
    return {ref: pulumi.Output.secret(find_secret(config, ref) or "") for ref in refs}
