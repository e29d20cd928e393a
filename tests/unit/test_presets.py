"""`use`: what a preset stands for, whom it asks, and what never comes of the answers."""

from __future__ import annotations

import os
import shutil
import sys
import time
import zipfile
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from claude_bottle.approvals.edit.stack_file import changed
from claude_bottle.checks.validation import examine
from claude_bottle.cli.stack_check import findings
from claude_bottle.cli.template import TOOLS
from claude_bottle.manifest.change import Change
from claude_bottle.manifest.model import Manifest, PresetName
from claude_bottle.presets import clients as preset_clients
from claude_bottle.presets import use as preset_use
from claude_bottle.presets.answers import NoAnswer, Told, place
from claude_bottle.presets.clients import Clients
from claude_bottle.presets.files import FOLDER, preset
from claude_bottle.presets.written_out import written_out

NAMES = get_args(PresetName)
INDEX = "https://mirror.example.com/api/pypi/simple/"
HELP = "  -i, --index-url <url>  Base URL of the Python Package Index (default {}). This should point to a repository"
ANSWERS = {
    "pip": Told([INDEX], {"index": INDEX}),
    "npm": Told(["https://mirror.example.com/api/npm/"], {"registry": "https://mirror.example.com/api/npm/"}),
    "go": Told(["https://go.example.com", "https://sum.example.com"], {"proxies": "https://go.example.com", "checksums": "sum.example.com"}),
    "cargo": Told(["https://mirror.example.com/crates/index/"]),
    "maven": Told(["https://mirror.example.com/maven2"]),
    "apt": Told(["http://debian.example.com/debian/", "http://debian.example.com/debian-security/"]),
}  # fmt: skip


def written(raw: dict[str, Any]) -> dict[str, Any]:
    manifest, wrong = written_out(raw, ANSWERS.__getitem__)
    assert not wrong and isinstance(manifest, dict)
    return manifest


class Machine:
    """A home and a PATH with nothing but what a test puts there."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.bin = folder / "home", folder / "bin"
        self.home.mkdir()
        self.bin.mkdir()
        for name in [name for name in os.environ if name.startswith(("CARGO_", "PIP_", "NPM_", "npm_", "GO", "XDG_"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(self.home))
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
        monkeypatch.setenv("PATH", str(self.bin))
        monkeypatch.setattr(preset_use, "_clients", {})

    def fake(self, program: str, script: str, folder: Path | None = None) -> None:
        (folder or self.bin).mkdir(exist_ok=True)
        file = (folder or self.bin) / program
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def write(self, name: str, text: str) -> None:
        file = self.home / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_each_preset_has_its_file_and_none_names_the_host_of_a_registry() -> None:
    assert sorted(file.stem for file in FOLDER.iterdir()) == sorted(NAMES) == sorted(TOOLS)
    for name in NAMES:
        one = preset(name)
        assert bool(one.ask) != bool(one.hosts), name
        assert set(one.hosts) <= {"github.com", "api.github.com"}
        assert "://" not in (FOLDER / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_a_manifest_as_by_hand_and_only_reads(name: str) -> None:
    raw = written({"use": [name]})
    manifest = Manifest.model_validate(raw)
    assert not manifest.use and manifest.egress.routes
    assert not examine(raw, lambda _: None).findings
    for route in manifest.egress.routes:
        assert (set(route.methods), route.token_ref, route.host.startswith("*.")) == ({"GET", "HEAD"}, None, False)
    assert raw.keys() <= {"egress", "agent", "env"} and raw.get("agent", {}).keys() <= {"apt", "npm"}


def test_the_host_the_path_and_the_variables_are_the_clients_answer() -> None:
    config = written({"use": ["python", "go"]})
    routes = {route["host"]: route.get("path") for route in config["egress"]["routes"]}
    assert routes == {"mirror.example.com": ["/api/pypi"], "go.example.com": None, "sum.example.com": None}
    follows = [(route.get("path"), route.get("follow")) for route in config["egress"]["routes"][:2]]
    assert follows == [(["/api/pypi/simple"], "links"), (["/api/pypi"], "redirects")], "its pages name files, no others"
    assert config["env"]["PIP_INDEX_URL"] == INDEX
    assert config["env"]["GOPROXY"] == "https://go.example.com"
    assert config["agent"]["apt"] == ["python3", "python3-venv", "python3-pip", "golang-go"]


def test_one_mirror_for_all_has_a_route_for_each_path_and_none_twice() -> None:
    config = written({"use": ["python", "node", "python", "java"]})
    assert [route["path"] for route in config["egress"]["routes"]] == [
        ["/api/pypi/simple"],
        ["/api/pypi"],
        ["/api/npm"],
        ["/maven2"],
    ]
    assert not examine(config, lambda _: None).findings


def test_what_the_owner_has_written_goes_before() -> None:
    own = {"host": "mirror.example.com", "path": ["/only"], "methods": ["GET"]}
    raw = {
        "use": ["python", "node"],
        "agent": {"apt": ["python3=3.13.5-1"], "memory": "2g"},
        "env": {"PIP_INDEX_URL": "https://own.example.com/simple"},
        "egress": {"routes": [own]},
    }
    config = written(raw)
    assert config["egress"]["routes"] == [own]
    assert config["agent"] == {
        "apt": ["python3=3.13.5-1", "python3-venv", "python3-pip", "nodejs", "npm"],
        "memory": "2g",
    }
    assert config["env"]["PIP_INDEX_URL"] == "https://own.example.com/simple"
    assert written({**raw, "egress": {"routes": [{**own, "host": "*.example.com"}]}})["egress"]["routes"][1:] == []
    assert raw["use"] == ["python", "node"] and raw["egress"]["routes"] == [own], "what is given stays as it is"


def test_an_image_of_the_owners_gets_no_packages() -> None:
    assert written({"use": ["python"], "agent": {"image": "own:1"}})["agent"] == {"image": "own:1"}


def test_hosts_that_are_named_are_asked_of_nobody() -> None:
    def never(client: str) -> Told:
        raise AssertionError(client)

    config, wrong = written_out({"use": [{"name": "python", "hosts": ["packages.example.com"]}]}, never)
    assert not wrong and isinstance(config, dict)
    assert [(r["host"], r.get("path")) for r in config["egress"]["routes"]] == [("packages.example.com", None)]
    assert "env" not in config, "nobody has said which address"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://packages.example.com/simple", "does not begin with https://"),
        ("https://192.0.2.7/simple", "cannot be a route"),
        ("https://0x7f000001/simple", "cannot be a route"),
        ("https://[2001:db8::7]/simple", "cannot be a route"),
        ("https://packages/simple", "cannot be a route"),
        ("https://*.example.com/simple", "cannot be a route"),
        ("https://me:hunter22@packages.example.com/simple", "may hold a credential"),
        ("https://hunter22@packages.example.com/simple", "may hold a credential"),
        ("https://packages.example.com/simple?key=hunter22", "may hold a credential"),
        ("https://packages.example.com/hunter22hunter22/simple", "may hold a credential"),
        ("https://packages.example.com/token=hunter22/simple", "may hold a credential"),
        ("https://packages.example.com/simple;jsessionid=hunter22", "may hold a credential"),
        ("https://packages.example.com/simple;hunter22", "may hold a credential"),
        ("https://packages.example.com/me:hunter22/simple", "may hold a credential"),
        ("https://packages.example.com/hunter22-hunter22-hunter22/simple", "may hold a credential"),
        ("https://0a1b2c3d4e5f60718293.packages.example.com/simple", "may hold a credential"),
        ("https://HUNTER22HUNTER22.packages.example.com/simple", "may hold a credential"),
        ("https://packages.example.com:8443/simple", "with a port"),
        ("https://packages.example.com/a/../simple", "not plain"),
        ("https://packages.example.com/a%2fb", "not plain"),
        ("https://packages.example.com:x/", "that is not an address"),
        ("file:///srv/simple", "does not begin with https://"),
        ("", "does not begin with https://"),
    ],
)
def test_an_answer_that_can_be_no_route_is_one_error_that_says_what_to_write(url: str, words: str) -> None:
    with pytest.raises(NoAnswer, match=words):
        place("pip", url)
    _, wrong = written_out({"use": ["github", "python"]}, lambda _: Told([url], {"index": url}))
    (problem,) = map(str, wrong)
    assert problem.startswith("use[1]: ") and "use: [{name: python, hosts: [packages.example.com]}]" in problem
    assert "hunter22" not in problem and "192.0.2.7" not in problem


def test_a_signed_index_may_be_read_by_http() -> None:
    assert place("apt", "http://debian.example.com/debian/", signed=True) == ("debian.example.com", "/debian")


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (["pyhton"], "use[0].name: 'pyhton': write python, node, go, rust, java, debian or github; did you mean python?"),
        ([5], "use[0]"), ([{"name": "go", "host": "x"}], "use[0].host: unknown key"), ("python", "use: 'python': write a list"),
        ([{"name": "go", "hosts": ["https://x.example.com"]}], "use[0].hosts[0]: 'https://x.example.com': a URL is not"),
    ],
)  # fmt: skip
def test_a_wrong_use_is_said_in_the_manifests_words(use: Any, words: str) -> None:
    raw = {"use": use}
    config, wrong = written_out(raw, ANSWERS.__getitem__)
    assert config == raw and not wrong
    (problem,) = (str(one) for one in examine(config, lambda _: None).findings)
    assert problem.startswith(words)


# ---- who is asked


def test_pip_is_asked_in_an_empty_folder_with_harmless_variables(machine: Machine, monkeypatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "not-for-pip")
    monkeypatch.setenv("PIP_INDEX_URL", INDEX)
    machine.fake(
        "pip",
        f'/usr/bin/env >"{machine.home}/env"; /bin/ls -A >"{machine.home}/ls"; echo "{HELP.format("$PIP_INDEX_URL")}"',
    )
    assert Clients().ask("pip") == Told([INDEX], {"index": INDEX})
    given = (machine.home / "env").read_text()
    assert "not-for-pip" not in given and "GITHUB_TOKEN" not in given
    assert (machine.home / "ls").read_text() == ""
    assert not list((machine.home.parent / "state/claude-bottle/presets").iterdir()), "and the folder is gone"


@pytest.mark.skipif(shutil.which("pip") is None, reason="no pip")
def test_the_real_pip_names_the_index_in_force(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.fake("pip", f'exec "{sys.executable}" -m pip "$@"')
    monkeypatch.setenv("PIP_INDEX_URL", INDEX)
    assert Clients().ask("pip").urls == [INDEX]
    monkeypatch.delenv("PIP_INDEX_URL")
    machine.write(".config/pip/pip.conf", "[global]\nindex-url = https://own.example.com/simple\n")
    assert Clients().ask("pip").urls == ["https://own.example.com/simple"]
    machine.write(".config/pip/pip.conf", "[global]\nindex-url = https://me:hunter22@own.example.com/simple\n")
    _, (problem,) = written_out({"use": ["python"]}, Clients().ask)
    assert "may hold a credential" in str(problem) and "hunter22" not in str(problem)
    machine.write(".config/pip/pip.conf", "")
    assert place("pip", Clients().ask("pip").urls[0])[1] == "/simple", "its own, where nothing is set"


def test_nothing_of_a_workspace_is_run_or_read(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    project = machine.home / "project"
    machine.fake("pip", f"echo '{HELP.format('https://agent.example.com/simple')}'", project)
    machine.fake("mvn", "", project)
    machine.write(
        "project/cargo/config.toml",
        '[source.crates-io]\nreplace-with = "x"\n[source.x]\nregistry = "sparse+https://agent.example.com/"\n',
    )
    monkeypatch.setenv("PATH", f"{project}:.:{machine.bin}")
    monkeypatch.setenv("CARGO_HOME", str(project / "cargo"))
    raw = {"use": ["python"], "workspace": {"path": "~/project"}}
    config, (problem,) = preset_use.use_presets(raw, machine.home)
    assert "pip is not on this machine" in str(problem) and "agent.example.com" not in str(config)
    (machine.bin / "pip").symlink_to(project / "pip")
    for client in ("pip", "cargo", "maven"):
        with pytest.raises(NoAnswer):
            Clients([project]).ask(client)
    assert Clients().ask("pip").urls == ["https://agent.example.com/simple"], "as it would be"
    (machine.bin / "pip").unlink()
    monkeypatch.chdir(project)
    monkeypatch.setenv("PATH", f".::{machine.bin}")
    with pytest.raises(NoAnswer):
        Clients().ask("pip")


ASKED = [
    ("pip", "PIP_CONFIG_FILE"), ("pip", "XDG_CONFIG_HOME"), ("npm", "NPM_CONFIG_USERCONFIG"), ("npm", "NPM_CONFIG_GLOBALCONFIG"),
    ("npm", "npm_config_userconfig"), ("go", "GOENV"), ("go", "XDG_CONFIG_HOME"), ("apt", "APT_CONFIG"), ("cargo", "CARGO_HOME"),
]  # fmt: skip


def asked(machine: Machine) -> None:
    """Each client says that it was run."""
    for program in ("pip", "npm", "go", "apt-get"):
        machine.fake(program, f'echo $0 >>"{machine.home}/ran"; echo https://agent.example.com/')


@pytest.mark.parametrize(("client", "variable"), ASKED)
def test_a_variable_that_names_a_file_of_a_workspace_ends_the_question(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, client: str, variable: str
) -> None:
    asked(machine)
    project = machine.home / "project"
    machine.write("project/named/config.toml", "")
    (machine.home / "link").symlink_to(project / "named")
    monkeypatch.chdir(project)
    for value in (str(project / "named"), str(machine.home / "link"), "named", f"{machine.home}/x/../project/named"):
        monkeypatch.setenv(variable, value)
        with pytest.raises(NoAnswer, match="a workspace"):
            Clients([project]).ask(client)
    assert not (machine.home / "ran").exists(), "it is not even run"


@pytest.mark.parametrize("client", ["pip", "npm", "go", "cargo", "maven"])
def test_a_home_or_a_config_within_a_workspace_ends_the_question(machine: Machine, client: str) -> None:
    asked(machine)
    homes = {"cargo": [".cargo"], "npm": [], "maven": []}.get(client, [".config"])
    for aside in (machine.home, *(machine.home / name for name in homes)):
        with pytest.raises(NoAnswer, match="a workspace"):
            Clients([aside]).ask(client)
    file = {"pip": ".config/pip/pip.conf", "npm": ".npmrc", "go": ".config/go/env", "cargo": ".cargo/config.toml", "maven": ".m2/settings.xml"}[client]  # fmt: skip
    machine.write("project/file", "")
    (machine.home / file).parent.mkdir(parents=True, exist_ok=True)
    (machine.home / file).symlink_to(machine.home / "project/file")
    with pytest.raises(NoAnswer, match="a workspace"):
        Clients([machine.home / "project"]).ask(client)
    assert not (machine.home / "ran").exists(), "it is not even run"


def test_no_client_is_run_in_a_folder_of_a_workspace(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(machine)
    monkeypatch.setenv("XDG_STATE_HOME", str(machine.home / "project/state"))
    with pytest.raises(NoAnswer, match="own folder is in a workspace"):
        Clients([machine.home / "project"]).ask("pip")
    assert not (machine.home / "ran").exists()


def test_a_client_gets_no_variable_that_says_what_is_run(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    harm = [
        "PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "VIRTUAL_ENV", "NODE_OPTIONS", "NODE_PATH", "JAVA_TOOL_OPTIONS", "MAVEN_OPTS",
        "GOFLAGS", "GOROOT", "GOPATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "ENV", "SSH_ASKPASS", "PIP_EXTRA_INDEX_URL",
    ]  # fmt: skip
    for name in (*harm, "GOTOOLCHAIN"):
        monkeypatch.setenv(name, "/workspace")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("GOPROXY", "https://go.example.com")
    machine.fake("go", f'/usr/bin/env >"{machine.home}/env"; echo "$GOPROXY"; echo off')
    assert Clients([machine.home / "project"]).ask("go").urls == ["https://go.example.com"]
    given = dict(line.split("=", 1) for line in (machine.home / "env").read_text().splitlines())
    assert not given.keys() & set(harm) and given["GOTOOLCHAIN"] == "local" and given["LC_ALL"] == "C.UTF-8"
    assert "/workspace" not in given.values()


def test_a_file_of_the_owners_that_a_variable_names_is_given(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.write("own.conf", "own.example.com/simple)")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(machine.home / "own.conf"))
    machine.fake("pip", 'echo "Python Package Index (default https://$(/bin/cat $PIP_CONFIG_FILE)"')
    assert Clients([machine.home / "project"]).ask("pip").urls == ["https://own.example.com/simple"]
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    machine.fake("pip", f"echo '{HELP.format(INDEX)}'")
    assert Clients([machine.home / "project"]).ask("pip").urls == [INDEX]


def test_a_script_that_a_program_of_a_workspace_runs_is_not_run(machine: Machine) -> None:
    project = machine.home / "project"
    machine.write("project/bin/x", "")
    (project / "bin/python").symlink_to("/bin/sh")
    machine.fake("pip", f"echo '{HELP.format(INDEX)}'")
    text = (machine.bin / "pip").read_text()
    (machine.home / "python").symlink_to(project / "bin/python")
    for head in (f"#!{project}/bin/python", f"#! {machine.home}/python -I", f"#!/usr/bin/env -S {project}/bin/python"):
        (machine.bin / "pip").write_text(text.replace("#!/bin/sh", head))
        with pytest.raises(NoAnswer, match="is not on this machine"):
            Clients([project]).ask("pip")
    assert Clients([project / "other"]).ask("pip").urls == [INDEX], "as it would be"


@pytest.mark.parametrize("script", ["exec /bin/sleep 60", "exec /usr/bin/yes", "exit 1", "true", "echo nonsense"])
def test_a_client_without_an_answer_is_given_up(machine: Machine, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preset_clients, "SECONDS", 0.5)
    machine.fake("pip", script)
    begun = time.monotonic()
    with pytest.raises(NoAnswer):
        Clients().ask("pip")
    assert time.monotonic() - begun < 10


def test_npm_go_and_apt(machine: Machine) -> None:
    machine.fake(
        "npm",
        'case $* in "config get registry --global") echo https://npm.example.com/;;'
        f' "config get globalconfig --global") echo {machine.home}/npm/etc/npmrc;; *) exit 1; esac',
    )
    assert Clients().ask("npm").urls == ["https://npm.example.com/"]
    with pytest.raises(NoAnswer, match="npm has its config in a workspace"):
        Clients([machine.home / "npm"]).ask("npm")
    machine.fake(
        "go",
        "echo 'https://one.example.com|https://two.example.com/go,direct'; echo 'sum.example.com+key https://sums.example.com'",
    )
    answer = Clients().ask("go")
    assert answer.urls == ["https://one.example.com", "https://two.example.com/go", "https://sums.example.com"]
    assert answer.values["proxies"] == "https://one.example.com,https://two.example.com/go"
    machine.fake("go", "echo direct; echo off")
    with pytest.raises(NoAnswer, match="no module proxy"):
        Clients().ask("go")
    machine.fake("apt-get", "echo http://debian.example.com/debian/; echo http://debian.example.com/debian/")
    assert Clients().ask("apt").urls == ["http://debian.example.com/debian/"]


def test_cargo(machine: Machine) -> None:
    with pytest.raises(NoAnswer):
        Clients().ask("cargo")
    machine.write(
        ".cargo/registry/index/index.example.com-1949cf8c6b5b557f/config.json",
        '{"dl": "https://crates.example.com/crates/{crate}"}',
    )
    assert Clients().ask("cargo").urls == ["https://index.example.com", "https://crates.example.com/crates/"]
    machine.write(".cargo/registry/index/other.example.com-1949cf8c6b5b557f/config.json", "{}")
    with pytest.raises(NoAnswer, match="one index alone"):
        Clients().ask("cargo")
    machine.write(
        ".cargo/config.toml",
        '[source.crates-io]\nreplace-with = "x"\n[source.x]\nregistry = "sparse+https://mirror.example.com/crates/index/"\n',
    )
    assert Clients().ask("cargo").urls == ["https://mirror.example.com/crates/index/"]
    machine.write(".cargo/config.toml", '[source.crates-io]\nreplace-with = "x"\n[source.x]\ndirectory = "vendor"\n')
    with pytest.raises(NoAnswer, match="no sparse registry"):
        Clients().ask("cargo")
    machine.write(".cargo/config.toml", "[source")
    with pytest.raises(NoAnswer, match="cannot be read"):
        Clients().ask("cargo")


def test_maven(machine: Machine) -> None:
    mirror = "<mirror><id>m</id><mirrorOf>{}</mirrorOf><url>https://{}.example.com/maven2</url></mirror>"
    head = '<settings xmlns="http://maven.example.com/SETTINGS/1.2.0"><servers><server><password>hunter22</password></server></servers><mirrors>'
    machine.write(
        ".m2/settings.xml",
        f"{head}{mirror.format('other', 'no')}{mirror.format('central', 'yes')}</mirrors></settings>",
    )
    assert Clients().ask("maven").urls == ["https://yes.example.com/maven2"]
    machine.write(".m2/settings.xml", "<!DOCTYPE x [<!ENTITY a 'b'>]><settings/>")
    with pytest.raises(NoAnswer, match="DOCTYPE"):
        Clients().ask("maven")
    machine.write(".m2/settings.xml", "<settings/>")
    machine.write("maven/bin/mvn", "")
    (machine.home / "maven/bin/mvn").chmod(0o755)
    (machine.bin / "mvn").symlink_to(machine.home / "maven/bin/mvn")
    machine.write("maven/lib/maven-model-builder-3.jar", "")
    with zipfile.ZipFile(machine.home / "maven/lib/maven-model-builder-3.jar", "w") as jar:
        pom = "<project><repositories><repository><id>central</id><url>https://own.example.com/maven2</url></repository></repositories></project>"
        jar.writestr("org/apache/maven/model/pom-4.0.0.xml", pom)
    assert Clients().ask("maven").urls == ["https://own.example.com/maven2"]


# ---- the rest of the program


def stack(**bottle: Any) -> str:
    return yaml.safe_dump({"config": {"claude-bottle:bottle": bottle}})


def test_a_check_of_a_stack_file_asks(machine: Machine, tmp_path: Path) -> None:
    (problem,) = findings(stack(use=["python"]), tmp_path)
    assert problem == (
        "use[0]: pip is not on this machine, so it cannot be asked; name the hosts: "
        "use: [{name: python, hosts: [packages.example.com]}]"
    )
    assert not findings(stack(use=["python"]), tmp_path, ask_machine=False)
    machine.fake("pip", f"echo '{HELP.format(INDEX)}'")
    preset_use._clients.clear()
    assert not findings(stack(use=["python"]), tmp_path)


def test_an_image_with_a_presets_packages_is_not_an_old_one(machine: Machine) -> None:
    config: Any = preset_use.without_answers({"use": ["python", "nonsense"], "agent": {"apt": ["jq"]}})
    assert config["agent"]["apt"] == ["jq"], "what is not valid stays"
    config = preset_use.without_answers({"use": ["python"], "agent": {"apt": ["jq"]}})
    assert config["agent"]["apt"] == ["jq", "python3", "python3-venv", "python3-pip"]


def test_a_yes_to_more_of_a_presets_host_takes_nothing_away(machine: Machine) -> None:
    text = stack(use=["github"], egress={"routes": [{"host": "api.example.com"}]})
    wish = Change("egress.routes", {"host": "github.com", "path": ["/acme"], "methods": ["POST"]})
    config = yaml.safe_load(changed(text, wish))["config"]["claude-bottle:bottle"]
    routes = written(config)["egress"]["routes"]
    methods: dict[tuple[str, ...], set[str]] = {}
    for route in routes[1:]:
        methods.setdefault((route["host"], *route.get("path", [])), set()).update(route["methods"])
    assert methods == {
        ("github.com",): {"GET", "HEAD"},
        ("github.com", "/acme"): {"GET", "HEAD", "POST"},
        ("api.github.com",): {"GET", "HEAD"},
    }
    again = Change("egress.routes", {"host": "github.com", "methods": ["GET"]})
    assert changed(text, again) == text, "what passes already changes nothing"
