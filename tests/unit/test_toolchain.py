"""The set-up's own logic; what it installs is tried by running it."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mitmproxy.test.tutils import treq

from addons.egress.checks import refuse_body, refuse_head
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.routes import RouteTableFile
from claude_bottle.policy.routes.table import RouteTable
from components import images
from toolchain import demo, environment, pulumi_cli, python_env, stack_file
from toolchain.go_build import Piece
from toolchain.shell import SetupError, quiet, run
from toolchain.step import ensure, examine

ROOT = Path(__file__).resolve().parents[2]
HOST = "api.github.com"


class FakeStep:
    name, why, how = "thing", "it is needed", "get it by hand"

    def __init__(self, present: bool, comes: bool = True) -> None:
        self.present, self.comes, self.got = present, comes, 0

    def look(self) -> str | None:
        return "1.0" if self.present else None

    def get(self) -> None:
        self.got += 1
        self.present = self.comes


def test_a_step_is_done_once_and_only_when_needed(capsys: pytest.CaptureFixture[str]) -> None:
    present, missing = FakeStep(True), FakeStep(False)
    for step in (present, missing, missing):
        ensure(step)
    assert (present.got, missing.got) == (0, 1)
    assert "getting it (it is needed)" in capsys.readouterr().err
    with pytest.raises(SetupError, match="get it by hand"):
        ensure(FakeStep(False, comes=False))
    assert [r.present for r in examine([FakeStep(True), FakeStep(False)])] == ["1.0", None]


def test_a_failing_command_shows_the_end_of_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolchain.shell.CACHE", tmp_path)
    with pytest.raises(SetupError, match="why it failed"):
        run(["sh", "-c", "echo why it failed; exit 3"], "a step")
    assert quiet("false") is None
    assert quiet("no-such-program-at-all") is None


def test_the_passphrase_is_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PASSPHRASE", tmp_path / "config" / "passphrase")
    monkeypatch.setattr(environment, "STATE", tmp_path / "state")
    step = environment.StateAndPassphrase()
    assert step.look() is None
    step.get()
    kept = environment.PASSPHRASE.read_text()
    assert stat.S_IMODE(environment.PASSPHRASE.stat().st_mode) == 0o600
    environment.PASSPHRASE.chmod(0o644)
    assert step.look() is None
    step.get()
    assert step.look() is not None
    assert environment.PASSPHRASE.read_text() == kept


def test_a_chosen_backend_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    assert environment.environment()["PULUMI_BACKEND_URL"].startswith("file://")
    (tmp_path / "credentials.json").write_text('{"current": "https://pulumi.example.com"}')
    assert "PULUMI_BACKEND_URL" not in environment.environment()


def test_a_piece_is_cached_by_its_content() -> None:
    pieces = [*pulumi_cli.CLI, *pulumi_cli.PROVIDERS.values()]
    assert len({piece.digest() for piece in pieces}) == len(pieces)
    changed = Piece(pieces[0].folder, pieces[0].package, pieces[0].binary, ("-other",))
    assert changed.digest() != pieces[0].digest()


def test_plugins_are_those_of_the_locked_sdks() -> None:
    lock = (python_env.ROOT / "requirements.lock").read_text()
    for kind, version in pulumi_cli.PLUGINS.items():
        assert f"pulumi-{kind}=={version}" in lock


def test_no_address_of_an_index_is_in_a_lock() -> None:
    for lock in [*python_env.ROOT.glob("*.lock"), *python_env.ROOT.glob("sidecar_images/**/*.lock")]:
        assert "://" not in lock.read_text()


def test_what_a_person_sees_first_names_the_command_that_needs_no_shell() -> None:
    steps = demo.next_steps("demo")
    assert "./bottle attach demo" in steps
    assert not re.search(r"pulumi|docker|activate|(?<!\./)\bbottle (?!:)[a-z-]+ demo", steps)
    readme = (Path(demo.__file__).parents[1] / "README.md").read_text()
    assert readme.index("./bottle") < min(readme.index(word) for word in ("pulumi preview", "source ./activate"))
    assert "./bottle --help" in readme.partition("```")[2].partition("```")[0]


def test_egress_leaves_the_secret_of_the_demo_to_pipelock() -> None:
    """Otherwise the demonstration would show no DLP."""
    (trial,) = [one for one in demo.TRIALS if one.what == "a secret in the body"]
    _, body, url = trial.curl
    assert "ghp_" in body
    manifest = yaml.safe_load((ROOT / "stacks/examples/Pulumi.demo.yaml").read_text())["config"]["claude-bottle:bottle"]
    (route,) = RouteTable.parse(RouteTableFile.of(Manifest.model_validate(manifest)).table.encode()).candidates(HOST)
    path, kind = url.removeprefix(f"https://{HOST}"), ((b"content-type", b"application/json"),)
    request = treq(method=b"POST", path=path.encode(), content=body.encode(), headers=kind)
    assert refuse_head(request, HOST, route, has_token=False) is None
    assert refuse_body(request, HOST, route) is None


def test_the_demo_tries_what_must_pass_and_what_must_not() -> None:
    assert len({trial.what for trial in demo.TRIALS}) == len(demo.TRIALS) > 5
    assert demo.verdict(200, '{"routes": [{"host": "a.example.com"}]}') == ("passed (200)", "a.example.com")
    assert demo.verdict(200, "[1]") == ("passed (200)", "[1]")
    assert demo.verdict(403, '{"refused_by": "pipelock", "reason": "dlp_match"}') == (
        "refused by pipelock",
        "dlp_match",
    )
    assert demo.verdict(502, '{"refused_by": "pipelock", "reason": "unresolvable"}')[0] == "allowed"
    assert demo.verdict(403, "egress: git push …") == ("refused by egress", "git_push")


def test_no_stack_file_is_committed_with_a_salt() -> None:
    """It would lock everybody else out: "incorrect passphrase" at their first make up."""
    if not (images.ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    argv = ["git", "-C", str(images.ROOT), "grep", "--cached", "-l", "encryptionsalt", "--", "stacks"]
    assert subprocess.run(argv, capture_output=True, text=True, check=False).stdout == ""


OF_THE_LOCK = """
import re, sys
from importlib.metadata import packages_distributions
lock = open("requirements.lock").read()
locked = {re.sub("[-_.]+", "-", name).lower() for name in re.findall("^([A-Za-z0-9._-]+)==", lock, re.M)}
for module, names in packages_distributions().items():
    if not locked.intersection(re.sub("[-_.]+", "-", name).lower() for name in names):
        sys.modules[module] = None
"""


def test_the_program_needs_nothing_that_only_the_images_and_the_tests_have() -> None:
    """`make up` installs requirements.lock alone: nothing else may be imported by what pulumi or the owner runs."""
    program = OF_THE_LOCK + "assert sys.modules['hyperscan'] is sys.modules['mitmproxy'] is None\n"
    program += "import components.bottle, components.program, claude_bottle.plan.table, claude_bottle.workspace.pull\n"
    program += "import claude_bottle.upkeep.repair, claude_bottle.cli.proposal_text, dashboard.server\n"
    program += "import claude_bottle.cli.app, claude_bottle.cli.part_logs, claude_bottle.cli.stack_check\n"
    # What is looked for in a manifest is found there too, as it stands and wrapped.
    program += "from claude_bottle.manifest.secrets_in_clear import secrets_in\n"
    program += "token = 'abcdefghijKLMNOPQRST0123456789_uvwxyz-ABCDEFGHIJ-0987654321'\n"
    program += "import base64; wrapped = base64.encodebytes((token + 'x' * 40).encode()).decode()\n"
    program += "texts = {'PLAIN': token, 'WRAPPED': wrapped, 'OTHER': 'hello'}\n"
    program += "print(*(f.path for f in secrets_in({'env': texts}, {'T': token}, [])))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-600:]
    assert done.stdout.split() == ["env.PLAIN", "env.WRAPPED"]


def test_an_example_becomes_a_file_of_ones_own_once(tmp_path: Path) -> None:
    (tmp_path / "stacks/examples").mkdir(parents=True)
    (tmp_path / "stacks/examples/Pulumi.demo.yaml").write_text("config: {}\n")
    stack_file.provide("demo", tmp_path / "stacks")
    own = tmp_path / "stacks/Pulumi.demo.yaml"
    assert own.read_text() == "config: {}\n"
    own.write_text("encryptionsalt: x\n")
    stack_file.provide("demo", tmp_path / "stacks")
    assert own.read_text() == "encryptionsalt: x\n"
    with pytest.raises(SetupError, match=r"copy an example \(demo\)"):
        stack_file.provide("other", tmp_path / "stacks")
    with pytest.raises(SetupError, match="not a name of a stack"):
        stack_file.provide("../other", tmp_path / "stacks")


def test_what_a_set_up_writes_to_is_not_tracked() -> None:
    listed = subprocess.run(["git", "ls-files", "stacks"], cwd=ROOT, capture_output=True, text=True, check=False)
    ignored = subprocess.run(
        ["git", "check-ignore", "stacks/Pulumi.demo.yaml"], cwd=ROOT, capture_output=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a checkout of git")
    assert not [name for name in listed.stdout.split() if name.startswith("stacks/Pulumi.")]
    assert ignored.returncode == 0
