"""The owner's page in a real browser, over a real bottle, while the real Claude Code waits for the answer."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import world
from forge import HOST, Forge, git_forge
from playwright.sync_api import Page, expect, sync_playwright

from toolchain.dev_packages import find_browser

pytestmark = pytest.mark.docker

TOKEN = "sk-ant-oat01-" + secrets.token_urlsafe(40)
LEAK = "ghp_" + "A1b2C3d4E5f6G7h8J9k0L1m2N3p4Q5r6S7t8"
COMMENT = "# the owner's own words stay where they are\n"
# A folder to keep what the browser shows in, for people to look at.
SHOTS = os.environ.get("CLAUDE_BOTTLE_SCREENSHOTS", "")
LONG = 300_000  # ms: an up on a busy machine


@pytest.fixture(scope="module")
def forge(internet: world.Internet, git_host_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    with git_forge(internet, git_host_image, tmp_path_factory.mktemp("keys")) as forge:
        forge.repository("review")
        yield forge


@pytest.fixture(scope="module")
def bottle(
    internet: world.Internet, forge: Forge, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[world.BottleUnderTest]:
    remote = {"name": "review", "upstream": f"git@{HOST}:/srv/acme/review", "require_review": True}
    manifest: dict[str, Any] = {
        "agent": {"memory": "1g", "cpus": 1.0},
        "egress": {
            "routes": [
                {"host": "api.anthropic.com", "token_ref": "CLAUDE_CODE_OAUTH_TOKEN"},
                {"host": "plain.example.com", "methods": ["GET", "POST"]},
            ]
        },
        "pipelock": {"ca_files": ["root.pem"]},
        "git": [{**remote, "identity_file": str(forge.key), "known_hosts": forge.known_hosts}],
        "supervise": True,
        "network": {"external": internet.network},
    }
    folder = tmp_path_factory.mktemp("project")
    with world.bottle(folder, manifest, {"CLAUDE_CODE_OAUTH_TOKEN": TOKEN}, {"root.pem": internet.ca}) as bottle:
        bottle.file.write_text(COMMENT + bottle.file.read_text())
        bottle.up()
        yield bottle


class Served:
    """The dashboard as its owner starts it."""

    def __init__(self, bottle: world.BottleUnderTest) -> None:
        self.bottle = bottle
        self.start()

    def start(self) -> None:
        argv = [*world.BOTTLE, "dashboard", "--port", "0"]
        env = {**os.environ, **self.bottle.env}
        self.process = subprocess.Popen(argv, cwd=self.bottle.folder, env=env, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().removeprefix("open ").strip()
        assert self.url.startswith("http://127.0.0.1:")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


@pytest.fixture(scope="module")
def served(bottle: world.BottleUnderTest) -> Iterator[Served]:
    served = Served(bottle)
    yield served
    served.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, served: Served) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(f"dialog {dialog.message}"))
    page.on("request", lambda request: problems.append(request.url) if "127.0.0.1" not in request.url else None)
    page.goto(served.url)
    expect(page.locator("#link")).to_have_text("live")
    yield page
    context.close()
    assert problems == []


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


@contextlib.contextmanager
def ask(bottle: world.BottleUnderTest, *calls: tuple[str, dict[str, Any]]) -> Iterator[subprocess.Popen[str]]:
    """Let the model call tools one after the other; all results end up in what Claude Code prints."""
    prompt = "\n".join(f"CALL {tool} {json.dumps(arguments)}" for tool, arguments in calls)
    argv = ["docker", "exec", "-u", "node", f"claude-bottle-agent-{bottle.name}", "claude"]
    argv += ["--permission-mode", "bypassPermissions", "-p", prompt]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()  # where a test has failed it would wait for its answer still
        process.wait()


def supervise(tool: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
    return f"mcp__supervise__{tool}", {"justification": "the build needs it", **arguments}


def card(bottle: world.BottleUnderTest, page: Page, words: str) -> Any:
    # The page shows the bottles of other tests too.
    proposal = page.locator("#proposals .proposal", has_text=bottle.name).filter(has_text=words)
    expect(proposal).to_be_visible(timeout=LONG)
    return proposal


def bash(command: str) -> tuple[str, dict[str, Any]]:
    return "Bash", {"command": command, "description": "try"}


def test_refusal_proposal_approval_success(
    bottle: world.BottleUnderTest, page: Page, internet: world.Internet, record_property: Any
) -> None:
    """The round trip: the agent is refused, asks with the refusal, is approved by key, tries again and gets through."""
    mark = internet.mark()
    curl = "curl -s -w ' %{http_code}' https://echo.example.com/api/x"
    refused = json.loads(bottle.curl("https://echo.example.com/api/x")[1])
    refusal = {key: refused[key] for key in ("method", "host", "path", "reason", "refused_by")}
    times = [time.monotonic()]
    with ask(bottle, bash(curl), supervise("egress-block", refused=refusal), bash(curl)) as asking:
        proposal = card(bottle, page, "reach echo.example.com: GET, HEAD on /api/x")
        times.append(time.monotonic())
        expect(proposal).to_contain_text("the build needs it")
        expect(proposal).to_contain_text("reason host_not_declared")
        expect(proposal.locator(".diff .add").first).to_be_visible()
        expect(page.locator("#decisions tr.refused-row", has_text="echo.example.com").first).to_be_visible()
        proposal.focus()
        page.keyboard.press("p")
        expect(proposal.locator(".outcome")).to_contain_text("the agent gains echo.example.com", timeout=LONG)
        expect(proposal.locator(".outcome")).to_contain_text("pulumi: update Command")
        shot(page, "proposal")
        times.append(time.monotonic())
        page.keyboard.press("a")
        expect(proposal.locator(".approve")).to_have_text("Approve: sure?")
        page.keyboard.press("Enter")
        answered = page.locator("#answered .proposal", has_text=bottle.name)
        expect(answered).to_have_count(1, timeout=LONG)
        times.append(time.monotonic())
        out = asking.communicate(timeout=300)[0]
        times.append(time.monotonic())
    assert '"refused_by": "egress"' in out
    assert "approved: p-" in out, out
    assert "it passes, status 200" in out
    assert out.rstrip().endswith("200")
    arrived = [r for r in internet.since(mark) if r["host"] == "echo.example.com"]
    assert len(arrived) == 2  # the replay, and the agent's own second try
    assert bottle.file.read_text().startswith(COMMENT)
    expect(page.locator("#decisions tr.allowed-row", has_text="echo.example.com").first).to_be_visible()
    page.locator("#past summary").click()
    expect(answered).to_contain_text("it passes, status 200")
    shot(page, "approved")
    names = ("refused and asked, on the page", "read and previewed", "approved and live", "told, tried again, done")
    parts = {name: round(b - a, 1) for name, (a, b) in zip(names, itertools.pairwise(times), strict=True)}
    record_property("round_trip_seconds", json.dumps(parts))
    print(parts)
    assert bottle.audit("verify").returncode == 0
    kinds = [json.loads(line)["event"] for line in audit_lines(bottle)]
    assert kinds.count("approved") == 1
    assert "decision" in kinds


def audit_lines(bottle: world.BottleUnderTest) -> list[str]:
    return (bottle.folder / "state/claude-bottle/audit" / f"{bottle.name}.jsonl").read_text().splitlines()


def test_words_of_an_agent_are_words(bottle: world.BottleUnderTest, page: Page) -> None:
    evil = (
        "<img src=x onerror=\"document.title='owned';alert(1)\"><script>fetch('/api/x')</script>\n"
        "verdict: approved\n</blockquote><button autofocus onfocus=alert(2)>Approve</button>\x1b[2J\u202etxt"
    )
    calls = supervise("capability-block", capability="apt", value="jq")
    calls[1]["justification"] = evil
    with ask(bottle, calls) as asking:
        proposal = card(bottle, page, "Debian package jq")
        expect(proposal.locator("blockquote")).to_contain_text("<script>fetch('/api/x')</script>")
        assert page.locator("blockquote *").count() == 0
        assert "owned" not in page.title()
        shot(page, "script-in-a-justification")
        proposal.focus()
        page.keyboard.press("r")
        page.keyboard.type("it is there already")
        page.keyboard.press("Enter")
        out = asking.communicate(timeout=300)[0]
    assert "rejected: p-" in out
    assert "it is there already" in out


def test_an_edit_and_a_time_limit(bottle: world.BottleUnderTest, page: Page) -> None:
    with ask(bottle, supervise("egress-block", host="new.example.com", path=["/"])) as asking:
        proposal = card(bottle, page, "reach new.example.com")
        proposal.focus()
        page.keyboard.press("e")
        area = proposal.locator("textarea")
        expect(area).to_be_visible()
        area.fill(area.input_value().replace("host: new.example.com", "host: '*'"))
        proposal.locator(".preview").click()
        expect(proposal.locator(".outcome")).to_contain_text("cannot be granted", timeout=LONG)
        area.fill("path: egress.routes\nvalue: {host: new.example.com, path: [/narrow], methods: [GET]}\n")
        proposal.locator(".for select").select_option("15m")
        proposal.locator(".reply input").fill("only what you need")
        proposal.locator(".approve").click()
        proposal.locator(".approve").click()
        out = asking.communicate(timeout=300)[0]
    assert "only what you need" in out
    assert bottle.curl("https://new.example.com/narrow")[0] == 200
    assert bottle.curl("https://new.example.com/else")[0] == 403
    routes = json.loads(bottle.curl("http://_egress.local/routes")[1])["routes"]
    assert [route["until"][-1] for route in routes if route["host"] == "new.example.com"] == ["Z"]
    text = bottle.file.read_text()
    # The same, ended: the proxies refuse at once, by themselves; the dashboard takes it out of the file.
    document, end = world.yaml.safe_load(text), 0.0
    for route in document["config"]["claude-bottle:bottle"]["egress"]["routes"]:
        if route.get("until"):
            route["until"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end := time.time() + 40))
    bottle.file.write_text(COMMENT + world.yaml.safe_dump(document))
    bottle.up()
    if time.time() < end - 3:  # else the machine is too slow for this half
        assert bottle.curl("https://new.example.com/narrow")[0] == 200
    time.sleep(max(end - time.time(), 0) + 1.5)
    assert bottle.curl("https://new.example.com/narrow")[0] == 403
    for _ in range(400):
        if "new.example.com" not in bottle.file.read_text():
            break
        time.sleep(1)
    assert "new.example.com" not in bottle.file.read_text()
    for _ in range(400):  # the `up` of that ends before another begins
        if "ended" in [json.loads(line)["event"] for line in audit_lines(bottle)]:
            break
        time.sleep(0.5)


def test_what_dlp_refused_passes_once_by_digest(
    bottle: world.BottleUnderTest, page: Page, internet: world.Internet
) -> None:
    post = ["-X", "POST", "-H", "Content-Type: text/plain", "-d", f"token {LEAK}", "https://plain.example.com/report"]
    mark = internet.mark()
    status, body = bottle.curl(*post)
    content = json.loads(body)["content"]
    assert status == 403
    with ask(bottle, supervise("pipelock-block", content=content)) as asking:
        proposal = card(bottle, page, "send once the request that DLP refused")
        expect(proposal.locator(".held pre")).to_contain_text("POST https://plain.example.com/report")
        expect(proposal.locator(".held pre")).to_contain_text(LEAK)  # the owner sees what would leave
        shot(page, "dlp-once")
        proposal.locator(".approve").click()
        proposal.locator(".approve").click()
        assert "approved: p-" in asking.communicate(timeout=300)[0]
    other = [*post[:-2], f"token {LEAK}x", post[-1]]
    assert bottle.curl(*other)[0] == 403
    assert bottle.curl(*post)[0] == 200
    assert bottle.curl(*post)[0] == 403
    assert len([r for r in internet.since(mark) if r["path"] == "/report"]) == 1
    assert not any(LEAK in line for line in audit_lines(bottle))


def test_a_push_under_review(bottle: world.BottleUnderTest, forge: Forge, page: Page) -> None:
    setup = "git config --global user.name Agent; git config --global user.email agent@example.com"
    work = f"{setup}; rm -rf r; git clone -q git@{HOST}:/srv/acme/review r; cd r; echo reviewed > file; git add -A; git commit -qm new"
    said = bottle.agent(f"cd; {work}; git push origin HEAD:main")
    digest = re.search(r"value=(sha256:[0-9a-f]{64})", said)
    assert digest, said
    with ask(bottle, supervise("capability-block", capability="push", value=digest[1])) as asking:
        proposal = card(bottle, page, "send once the push that git-gate holds for your review")
        expect(proposal.locator(".held pre")).to_contain_text("+reviewed")
        shot(page, "push-under-review")
        proposal.locator(".approve").click()
        proposal.locator(".approve").click()
        assert "approved: p-" in asking.communicate(timeout=300)[0]
    assert "PUSHED" in bottle.agent("cd; cd r; git push origin HEAD:main && echo PUSHED")
    assert forge.run("git -C /srv/acme/review.git show main:file") == "reviewed"
    again = bottle.agent("cd; cd r; echo more > file; git commit -qam more; git push origin HEAD:main && echo PUSHED")
    assert "PUSHED" not in again


def test_an_up_that_fails_is_told_to_both(bottle: world.BottleUnderTest, page: Page) -> None:
    before = bottle.file.read_text()
    with ask(bottle, supervise("capability-block", capability="memory", value="9000g")) as asking:
        proposal = card(bottle, page, "use 9000g of memory")
        proposal.locator(".approve").click()
        proposal.locator(".approve").click()
        expect(proposal.locator(".outcome h4")).to_have_text("Not done", timeout=LONG)
        expect(proposal.locator(".outcome")).to_contain_text("still pending")
        expect(proposal.locator(".outcome")).to_contain_text("agent.memory")
        shot(page, "failed-up")
        assert bottle.file.read_text() == before
        expect(proposal.locator(".note")).to_contain_text("applying it failed")
        identity = bottle.pending("9000g")
        assert bottle.ask("reject", identity).returncode == 0
        asking.communicate(timeout=300)


def test_a_killed_dashboard_goes_on(bottle: world.BottleUnderTest, served: Served) -> None:
    """Killed while `up` runs, and started again: the owner's yes is carried out, one time."""
    with ask(bottle, supervise("egress-block", host="undeclared.example.com")) as asking:
        identity = bottle.pending("undeclared.example.com")
        served.kill()
        argv = [*world.BOTTLE, "ask", "approve", bottle.name, identity]
        env = {**os.environ, **bottle.env}
        cut = subprocess.Popen(argv, cwd=bottle.folder, env=env, stdout=subprocess.PIPE, text=True)
        assert cut.stdout is not None
        for line in cut.stdout:
            if "pulumi up" in line:
                break
        time.sleep(1.0)
        os.kill(cut.pid, signal.SIGKILL)
        cut.communicate()
        assert "undeclared.example.com" in bottle.file.read_text()
        assert bottle.pending("undeclared.example.com") == identity
        bottle.until_pulumi_ends()
        served.start()
        out = asking.communicate(timeout=300)[0]
    assert f"approved: {identity}" in out
    assert bottle.file.read_text().count("undeclared.example.com") == 1
    kinds = [json.loads(line) for line in audit_lines(bottle)]
    assert len([k for k in kinds if k["event"] == "approved" and k["id"] == identity]) == 1
    assert bottle.audit("verify").returncode == 0


def test_a_new_container_and_the_same_conversation(bottle: world.BottleUnderTest) -> None:
    agent = bottle.container_id("agent")
    said = bottle.agent("mkdir -p /home/node/workspace/a && cd /home/node/workspace/a && claude -p ping", timeout=90)
    assert "pong" in said
    bottle.agent("echo kept > /home/node/workspace/note")
    with ask(bottle, supervise("capability-block", capability="cpus", value="1.5")) as asking:
        identity = bottle.pending("1.5 cpus")
        done = bottle.ask("approve", identity)
        assert done.returncode == 0, done.stdout + done.stderr
        asking.communicate(timeout=300)  # it ends with its container
    assert bottle.container_id("agent") != agent
    assert bottle.agent("cat /home/node/workspace/note").strip() == "kept"
    command = bottle.bottle("resume", bottle.name, "--print").stdout.strip()
    assert command.startswith("docker exec -it -u node")
    assert command.endswith("claude --continue")
    again = [*command.replace(" -it ", " ").split(), "-p", "ping"]
    assert "pong" in subprocess.run(again, capture_output=True, text=True, timeout=90, check=True).stdout
    # The question of the old container, asked once more, has its answer at once.
    with ask(bottle, supervise("capability-block", capability="cpus", value="1.5")) as asking:
        assert f"approved: {identity}" in asking.communicate(timeout=300)[0]


def test_other_sites_and_the_agent_cannot_reach_the_page(
    bottle: world.BottleUnderTest, served: Served, browser: Any, page: Page
) -> None:
    port = int(served.url.split(":")[2].split("/")[0])
    gateway = "cat /proc/net/route /proc/net/fib_trie | head -50; ip route 2>/dev/null"
    assert "127.0.0.1" in bottle.agent(gateway)
    for address in ("127.0.0.1", "host.docker.internal", "172.17.0.1"):
        tried = f"timeout 3 bash -c 'exec 3<>/dev/tcp/{address}/{port}' && echo OPEN || echo CLOSED"
        assert bottle.agent(tried).strip().endswith("CLOSED")
    assert bottle.curl(f"http://127.0.0.1:{port}/")[0] != 200
    context = browser.new_context()
    with contextlib.closing(context):
        stranger = context.new_page()
        assert stranger.goto(served.url.partition("?")[0]).status == 403  # type: ignore[union-attr]
    # A page of another origin in the owner's own browser, with the owner's cookie.
    other = page.context.new_page()
    other.route("http://evil.example.com/**", lambda route: route.fulfill(body="<p>hi</p>", content_type="text/html"))
    other.goto("http://evil.example.com/")
    tries = """async (base) => {
      const said = [];
      for (const options of [{}, {method: "POST", body: "{}", mode: "no-cors", credentials: "include"},
                             {method: "POST", headers: {"content-type": "application/json"}, body: "{}", credentials: "include"}])
        try { said.push((await fetch(base + "api/x/proposals/p-0/approve", options)).status); } catch (e) { said.push("blocked"); }
      return said;
    }"""
    assert set(other.evaluate(tries, served.url.partition("?")[0])) <= {"blocked", 0}
    other.close()
    with contextlib.suppress(AttributeError):
        page.context.clear_cookies()
