"""What becomes of a request in whose body something is found, by host: refused, masked, or put to the owner.

Hosts and variables of models' gateways: the APIs' references, named in claude_bottle/policy/routes/model_gateways.py.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flows import flow
from loaded import loaded_pipelock
from mitmproxy import http
from mitmproxy.test import taddons

from addons.pipelock import once as pipelock_once
from addons.pipelock.addon import Pipelock
from claude_bottle.approvals.audit.decisions import read_line
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.pipelock import reactions
from claude_bottle.policy.model_api import is_model_call
from claude_bottle.policy.once import Once
from claude_bottle.policy.refusal import Refusal

LEAK = "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"
MANIFEST = Manifest.model_validate(
    {
        "pipelock": {
            "allow": [
                "masks.example.org",
                "asks.example.org",
                "other.example.org",
                "api.openai.com",
                "*.wide.example.org",
            ],
            "dlp": {
                "hosts": {
                    "masks.example.org": {"on_match": "redact"},
                    "asks.example.org": {"on_match": "ask"},
                    "*.wide.example.org": {"on_match": "redact"},
                    "strict.wide.example.org": {"on_match": "block"},
                }
            },
        }
    }
)


@pytest.fixture
def pipelock(tmp_path: Path) -> Pipelock:
    return loaded_pipelock(tmp_path, MANIFEST)


def run(addon: Pipelock, exchange: http.HTTPFlow, beside: Callable[[], Any] | None = None) -> str | None:
    async def both() -> None:
        await addon.requestheaders(exchange)
        await asyncio.gather(addon.request(exchange), *([beside()] if beside else []))

    with taddons.context(addon):
        asyncio.run(both())
    return json.loads(exchange.response.content or b"")["reason"] if exchange.response else None


def said(text: str) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": text}]}).encode()


def posted(host: str, text: str, **headers: str) -> http.HTTPFlow:
    more = {"content_type": "application/json", **headers}
    return flow(f"https://{host}/v1", method="POST", body=said(text), **more)


@pytest.mark.parametrize("host", ["masks.example.org", "api.openai.com", "a.wide.example.org"])
def test_a_mask_takes_the_place_of_what_was_found(
    pipelock: Pipelock, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    exchange = posted(host, f"is {LEAK} a token?")
    assert run(pipelock, exchange) is None
    body = exchange.request.get_content()
    assert body is not None and json.loads(body)["messages"][0]["content"] == "is [REDACTED github-pat] a token?"
    assert exchange.request.headers["content-length"] == str(len(body))
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["decision"], line["redacted"]) == ("allowed", ["github-pat"])
    shown = read_line("s", "2026-01-01T00:00:00Z " + json.dumps(line))
    assert shown and shown.decision and "masked in its body" in shown.decision.rule


@pytest.mark.parametrize("host", ["other.example.org", "strict.wide.example.org"])
def test_elsewhere_it_is_refused(pipelock: Pipelock, host: str) -> None:
    assert run(pipelock, posted(host, LEAK)) == "dlp_match"


def test_what_is_in_the_head_or_over_two_requests_is_refused_there_too(pipelock: Pipelock) -> None:
    host = "masks.example.org"
    assert run(pipelock, flow(f"https://{host}/?q={LEAK}", method="POST", body=said("x"))) == "dlp_match"
    assert run(pipelock, posted(host, "x", x_note=LEAK)) == "dlp_match"
    assert run(pipelock, posted(host, LEAK[:20])) is None
    assert run(pipelock, posted(host, LEAK[20:])) == "dlp_match"


def test_a_masked_body_is_what_the_next_request_goes_on_with(pipelock: Pipelock) -> None:
    assert run(pipelock, posted("masks.example.org", f"{LEAK} {LEAK[:20]}")) is None
    assert run(pipelock, posted("other.example.org", LEAK[20:])) == "dlp_match"


def test_a_signed_body_stays_as_it_is_and_is_refused(pipelock: Pipelock) -> None:
    signed = posted("masks.example.org", LEAK, authorization="AWS4-HMAC-SHA256 Credential=x, Signature=y")
    assert run(pipelock, signed) == "dlp_match"


def test_what_a_forge_is_asked_by_its_body_is_not_changed_behind_egress(pipelock: Pipelock) -> None:
    """GraphQL, 2.9.4: a block string ends with three quotes; a mask that takes one makes other code of what follows."""
    for path in ("/graphql", "/api/v4/projects/1/issues/2/notes"):
        exchange = flow(
            f"https://masks.example.org{path}", method="POST", body=said(LEAK), content_type="application/json"
        )
        assert run(pipelock, exchange) == "dlp_match", path


def answer(folder: Path, how: Callable[[Once, str], object]) -> Callable[[], Any]:
    """The owner's word, once the question is there."""

    async def later() -> None:
        once = Once(folder / "once")
        for _ in range(3000):
            for file in (folder / "once").glob("*.held"):
                how(once, file.name.removesuffix(".held"))
                return
            await asyncio.sleep(0.02)

    return later


def test_a_request_waits_for_a_yes(pipelock: Pipelock, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exchange = posted("asks.example.org", LEAK)
    assert run(pipelock, exchange, answer(tmp_path, lambda once, digest: once.grant(digest, "p-0123456789"))) is None
    assert exchange.request.content == said(LEAK)
    asked, allowed = capsys.readouterr().out.splitlines()
    line = read_line("s", f"2026-01-01T00:00:00Z {asked}")
    assert line and line.asks == json.loads(allowed)["once"] and line.decision and line.decision.verdict == "asked"
    assert run(pipelock, posted("other.example.org", LEAK)) == "dlp_match"


def test_a_no_ends_the_waiting(pipelock: Pipelock, tmp_path: Path) -> None:
    no = answer(tmp_path, lambda once, digest: once.decline(digest))
    assert run(pipelock, posted("asks.example.org", LEAK), no) == "dlp_match"


def test_no_answer_is_a_no(pipelock: Pipelock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelock_once, "ASK_SECONDS", 0.3)
    assert run(pipelock, posted("asks.example.org", LEAK)) == "dlp_match"


def test_more_than_some_do_not_wait(pipelock: Pipelock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelock_once, "ASKING", 0)
    assert run(pipelock, posted("asks.example.org", LEAK)) == "dlp_match"


@pytest.mark.parametrize(
    ("host", "env", "reads"),
    [
        ("api.openai.com", {}, True),
        ("api.anthropic.com", {}, False),  # on passthrough by default
        ("europe-west4-aiplatform.googleapis.com", {}, True),
        ("bedrock-runtime.eu-central-1.amazonaws.com", {}, True),
        ("bedrock-mantle.us-east-1.api.aws", {}, True),
        ("acme.openai.azure.com", {}, True),
        ("llm.corp.example.com", {"ANTHROPIC_BASE_URL": "https://llm.corp.example.com/anthropic"}, True),
        ("llm.corp.example.com", {}, False),
        ("api.github.com", {}, False),
    ],
)
def test_a_models_gateway_that_is_read_masks_by_default(host: str, env: dict[str, str], reads: bool) -> None:
    manifest = Manifest.model_validate({"env": env, "egress": {"routes": [{"host": host}]}})
    assert reactions(manifest) == ({host: "redact"} if reads else {})
    section = {"dlp": {"hosts": {host: {"on_match": "block"}}}}
    manifest = Manifest.model_validate({"env": env, "egress": {"routes": [{"host": host}]}, "pipelock": section})
    assert reactions(manifest) == {host: "block"}


def test_nobody_is_asked_where_no_question_can_be_put() -> None:
    with pytest.raises(ValueError, match="supervise: true"):
        Manifest.model_validate({**MANIFEST.model_dump(exclude_unset=True), "supervise": False})


VERTEX = "/v1/projects/p/locations/us-east5/publishers"


@pytest.mark.parametrize(
    "path",
    ["/v1/messages?beta=true", "/anthropic/v1/messages", "/v1/chat/completions", "/openai/v1/responses",
     # Amazon Bedrock API Reference, InvokeModel, InvokeModelWithResponseStream, Converse, ConverseStream.
     "/model/anthropic.claude-sonnet-4-20250514-v1%3A0/invoke", "/model/us.anthropic.claude:0/converse",
     "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Aprovisioned-model%2Fx/invoke-with-response-stream",
     "/bedrock/model/m/converse-stream",
     # Vertex AI REST reference, publishers.models; Gemini API, models.generateContent.
     f"{VERTEX}/anthropic/models/claude-sonnet-4@20250514:rawPredict",
     f"{VERTEX}/anthropic/models/claude-sonnet-4@20250514:streamRawPredict",
     f"{VERTEX}/google/models/gemini-2.5-pro:generateContent",
     "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"],
)  # fmt: skip
def test_a_refusal_reads_as_an_error_of_the_models_api(pipelock: Pipelock, path: str) -> None:
    """Anthropic, "Errors": {"type": "error", "error": {"type", "message"}}; OpenAI: {"error": {"message", "type"}}.

    AWS restJson1: {"__type", "message"}; Google, "Errors": {"error": {"code", "message", "status"}}.
    """
    exchange = flow(f"https://other.example.org{path}", method="POST", body=said(LEAK), content_type="application/json")
    assert run(pipelock, exchange) == "dlp_match"
    assert exchange.response is not None and exchange.response.status_code == 400
    error = json.loads(exchange.response.content or b"")
    assert (error["type"], error["error"]["type"], error["refused_by"]) == (
        "error",
        "invalid_request_error",
        "pipelock",
    )
    assert "github-pat" in error["error"]["message"] and "every turn" in error["error"]["message"]
    assert LEAK not in exchange.response.text  # type: ignore[operator]
    assert error["message"] == error["error"]["message"]
    assert ("__type" in error) is ("/model/" in path)
    google = {"code": 400, "status": "INVALID_ARGUMENT"} if "/models/" in path else {}
    assert error["error"] == {"type": "invalid_request_error", "message": error["message"], **google}


@pytest.mark.parametrize(("status", "reason", "code", "kind", "name"), [
    (503, "starting", 503, "ServiceUnavailableException", "UNAVAILABLE"),
    (502, "unresolvable", 400, "ValidationException", "INVALID_ARGUMENT"),
])  # fmt: skip
def test_an_error_of_amazons_or_googles_says_whether_another_try_helps(
    status: int, reason: str, code: int, kind: str, name: str
) -> None:
    """Amazon Bedrock API Reference, "Common Errors"; google.rpc.Code."""
    refusal = Refusal("pipelock", reason, "Not now.", status)
    bodies = [
        json.loads(refusal.body(method="POST", host="x.example.com", path=path))
        for path in ("/model/m/converse", "/v1beta/models/m:generateContent")
    ]
    assert bodies[0]["__type"] == kind
    assert (bodies[1]["error"]["code"], bodies[1]["error"]["status"]) == (code, name)


@pytest.mark.parametrize(
    "path", ["/model/x/invoke/y", "/model/a/b/invoke", "/invoke", "/v1/models/x:predict", "/x?q=:rawPredict"]
)
def test_a_path_that_only_resembles_one_is_none_of_a_model(path: str) -> None:
    assert not is_model_call(path)


def test_any_other_refusal_keeps_its_form(pipelock: Pipelock) -> None:
    exchange = posted("other.example.org", LEAK)
    assert run(pipelock, exchange) == "dlp_match"
    assert exchange.response is not None and exchange.response.status_code == 403
    assert json.loads(exchange.response.content or b"")["error"] == "refused"
