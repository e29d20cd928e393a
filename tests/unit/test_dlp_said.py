"""What a host has said may be said back to it, and to nobody else; addresses that were pointed to may be fetched."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import random
import string
from typing import Any

import pytest
from flows import flow
from loaded import loaded_pipelock
from mitmproxy import http
from mitmproxy.test import taddons

from addons.pipelock.addon import Pipelock
from addons.pipelock.said import Answers
from claude_bottle.dlp.heard import LIMIT, Ears, Heard, heard_in_head
from claude_bottle.dlp.recent import Recent
from claude_bottle.dlp.said import _ALL, _OF_HOST, _SENT, URL_SECONDS, VALUE_SECONDS, Said, values_in
from claude_bottle.manifest.model import Manifest

RNG = random.Random(22)
A, B = "https://a.example.org", "https://b.example.org"
MANIFEST = Manifest.model_validate(
    {
        "egress": {"routes": [{"host": "keyed.example.org", "token_ref": "T"}]},
        "pipelock": {
            "allow": ["a.example.org", "b.example.org", "lax.example.org", "*.wild.example.org"],
            "dlp": {"max_body_mb": 1, "hosts": {"lax.example.org": {"disabled_rules": ["github-pat"]}}},
        },
    }
)


def alnum(size: int) -> str:
    return "".join(RNG.choice(string.ascii_letters + string.digits) for _ in range(size))


def part(claims: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


def jwt() -> str:
    """Of the form that CNCF Distribution's token specification has (spec/auth/jwt)."""
    claims = {"iss": "auth.a.example.org", "sub": "", "aud": "a.example.org", "exp": 1415387315, "jti": alnum(32)}
    access = [{"type": "repository", "name": "samalba/my-app", "actions": ["pull"]}]
    return f"{part({'typ': 'JWT', 'alg': 'ES256', 'kid': alnum(20)})}.{part({**claims, 'access': access})}.{alnum(86)}"


def pat() -> str:
    return f"ghp_{alnum(30)}0ABCDE"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Pipelock:
    folder = tmp_path_factory.mktemp("pipelock")
    return loaded_pipelock(folder, MANIFEST)


@pytest.fixture
def pipelock(loaded: Pipelock) -> Pipelock:
    loaded._answers, loaded._recent = Answers(), Recent()
    return loaded


def ask(addon: Pipelock, url: str, method: str = "GET", body: bytes = b"", **headers: str) -> http.HTTPFlow:
    exchange = flow(url, method=method, body=body, **headers)
    exchange.request.has_content = bool(body)  # type: ignore[attr-defined] - as addons/http/layers.py says

    async def steps() -> None:
        await addon.requestheaders(exchange)
        await addon.request(exchange)

    with taddons.context(addon):
        asyncio.run(steps())
    return exchange


def refused(addon: Pipelock, url: str, method: str = "GET", body: bytes = b"", **headers: str) -> str | None:
    exchange = ask(addon, url, method, body, **headers)
    return json.loads(exchange.response.content or b"")["reason"] if exchange.response else None


def respond(
    addon: Pipelock, exchange: http.HTTPFlow, body: bytes = b"", status: int = 200, step: int = 1000, **headers: str
) -> bytes:
    """The host of an allowed request answers; what goes on of the body, each piece as it came."""
    assert exchange.response is None
    exchange.response = http.Response.make(status)
    for name, value in headers.items():
        exchange.response.headers[name.replace("_", "-")] = value
    asyncio.run(addon.responseheaders(exchange))
    stream, out = exchange.response.stream, []
    if callable(stream):
        for start in range(0, len(body), step):
            piece = body[start : start + step]
            assert list(stream(piece)) == [piece]  # nothing is held back
            out.append(piece)
        assert list(stream(b"")) == []
        return b"".join(out)
    assert stream is True
    return body


def say(addon: Pipelock, value: str, origin: str = A) -> None:
    respond(
        addon, ask(addon, f"{origin}/token"), json.dumps({"token": value}).encode(), content_type="application/json"
    )


def test_a_token_of_a_registry_goes_back_to_it_and_to_nobody_else(pipelock: Pipelock) -> None:
    """CNCF Distribution, token authentication specification: 401, GET of the realm, the token as Bearer."""
    token = jwt()
    assert refused(pipelock, f"{A}/v2/samalba/my-app/manifests/latest", authorization=f"Bearer {token}") == "dlp_match"
    first = ask(pipelock, f"{A}/v2/")
    respond(pipelock, first, status=401, www_authenticate=f'Bearer realm="{A}/token",service="a.example.org"')
    second = ask(pipelock, f"{A}/token?service=a.example.org&scope=repository:samalba/my-app:pull")
    answer = json.dumps({"token": token, "expires_in": 300, "issued_at": "2026-01-01T00:00:00Z"}).encode()
    assert respond(pipelock, second, answer, step=7, content_type="application/json; charset=utf-8") == answer
    for _ in range(3):
        assert refused(pipelock, f"{A}/v2/samalba/my-app/blobs/x", authorization=f"Bearer {token}") is None
    assert refused(pipelock, f"{B}/v2/", authorization=f"Bearer {token}") == "dlp_match"
    assert refused(pipelock, f"http{A[5:]}/v2/", authorization=f"Bearer {token}") == "dlp_match"  # in the clear
    assert refused(pipelock, f"{A}/v2/", authorization=f"Bearer {token}", x_note=pat()) == "dlp_match"
    assert refused(pipelock, f"{A}/v2/", authorization=f"Bearer {jwt()}") == "dlp_match"


def test_a_piece_that_a_host_has_said_hides_nothing_around_it(pipelock: Pipelock) -> None:
    secret = pat()
    first, middle, last = secret[:10], secret[10:26], secret[26:]
    say(pipelock, middle)
    for fields in (f"a={first}&token={middle}&c={last}", f"token={middle}&a={first}&b={middle}&c={last}"):
        pipelock._recent = Recent()
        assert refused(pipelock, f"{A}/x?{fields}") == "dlp_match"
        pipelock._recent = Recent()
        body = json.dumps(dict(pair.split("=") for pair in fields.split("&"))).encode()
        assert refused(pipelock, f"{A}/x", "POST", body, content_type="application/json") == "dlp_match"


def test_what_a_host_was_told_to_keep_it_may_tell_at_any_time(pipelock: Pipelock) -> None:
    token, clock = jwt(), [0.0]
    pipelock._answers = Answers(Said(lambda: clock[0]))
    say(pipelock, token)
    to = f"{B}/?k={token}"
    assert refused(pipelock, f"{A}/shorten", "POST", json.dumps({"token": token}).encode()) is None
    clock[0] = VALUE_SECONDS + 1
    respond(pipelock, ask(pipelock, f"{A}/s/1"), status=302, location=to)
    assert refused(pipelock, to) == "dlp_match"


def test_cookies_go_back(pipelock: Pipelock) -> None:
    """RFC 6265: the cookie is sent as it was set. XSRF-TOKEN: Laravel's and Angular's documents, sent back in a header
    too, percent signs undone."""
    session, xsrf = (
        jwt(),
        base64.b64encode(json.dumps({"iv": alnum(24), "value": alnum(200), "mac": alnum(64)}).encode()),
    )
    first = ask(pipelock, f"{A}/login")
    encoded = xsrf.decode().replace("=", "%3D")
    fields = {"set_cookie": f"session={session}; Path=/; HttpOnly", "x_csrf": xsrf.decode()}
    respond(pipelock, first, b"<p>", content_type="text/html", **fields)
    assert refused(pipelock, f"{A}/x", cookie=f"session={session}; theme=dark; id=4b7a66cf") is None
    assert refused(pipelock, f"{A}/x", method="POST", body=b"a=1", cookie=f"session={session}") is None
    assert refused(pipelock, f"{A}/x", cookie=f"XSRF-TOKEN={encoded}", x_xsrf_token=xsrf.decode()) is None
    assert refused(pipelock, f"{B}/x", cookie=f"session={session}") == "dlp_match"


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_fields_of_a_form_go_back(pipelock: Pipelock, encoding: str) -> None:
    """HTML, 4.10.5.1.1: a hidden field is sent with the form."""
    token, other = alnum(40) + "7Qz", alnum(40) + "8Qz"
    page = f'<form action="/p"><input type="hidden" name="api_key" value="{token}"></form>{"word " * 500}'.encode()
    body = f"title=hello&api_key={token}".encode()
    form = {"content_type": "application/x-www-form-urlencoded"}
    assert refused(pipelock, f"{A}/p", "POST", body, **form) == "dlp_match"
    headers = {"content_type": "text/html; charset=utf-8", **({"content_encoding": encoding} if encoding else {})}
    respond(pipelock, ask(pipelock, f"{A}/f"), gzip.compress(page) if encoding else page, **headers)
    assert refused(pipelock, f"{A}/p", "POST", body, **form) is None
    assert refused(pipelock, f"{B}/p", "POST", body, **form) == "dlp_match"
    assert refused(pipelock, f"{A}/p", "POST", f"title=hello&api_key={other}".encode(), **form) == "dlp_match"


RELEASE = (  # of a forge's release: the answer quoted in DataDog/documentation, pull request 24206; S3 signs so
    "/github-production-release-asset-2e65be/47203045/b39303d6-edd5-4156-aa9c-de3a12d52999?X-Amz-Algorithm=AWS4-HMAC-"
    "SHA256&X-Amz-Credential=AKIAQRSTUVWXYZ234567%2F20240718%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20240718T144553Z"
    "&X-Amz-Expires=300&X-Amz-Signature=e8a1506e7071c19619b7b599eb8f88e69d353796450f18ab951d150dcfd6e52f&X-Amz-Signed"
    "Headers=host&actor_id=0&key_id=0&repo_id=47203045&response-content-disposition=attachment%3B%20filename%3Dd.pkg"
)


def test_a_signed_address_is_followed_exactly(pipelock: Pipelock) -> None:
    url = f"{B}{RELEASE}&jwt={jwt()}"
    assert refused(pipelock, url) == "dlp_match"
    respond(pipelock, ask(pipelock, f"{A}/o/r/releases/download/v1/d.pkg"), status=302, location=url)
    assert refused(pipelock, f"{url}&more={alnum(5)}") == "dlp_match"
    assert refused(pipelock, url.replace("attachment", "inline")) == "dlp_match"
    assert refused(pipelock, url, method="POST", body=b"x") == "dlp_match"
    assert refused(pipelock, url, body=b"x") == "dlp_match"
    assert refused(pipelock, url, x_note=pat()) == "dlp_match"  # what goes with it is looked at
    assert refused(pipelock, url.replace("b.example", "a.example")) == "dlp_match"
    assert refused(pipelock, url) is None
    assert refused(pipelock, url, method="HEAD") is None
    assert refused(pipelock, url.replace("%3D", "%3d").replace("%2F", "%2f")) is None  # RFC 3986, 6.2.2.1


@pytest.mark.parametrize("place", ["link", "json", "html"])
def test_addresses_in_answers_are_followed(pipelock: Pipelock, place: str) -> None:
    url = f"{B}/files?part=1&jwt={jwt()}"
    exchange = ask(pipelock, f"{A}/files")
    if place == "link":  # RFC 8288
        respond(pipelock, exchange, link=f'<{url}>; rel="next", <{A}/files>; rel="first"')
    elif place == "json":  # as Go's encoding/json writes an ampersand
        respond(
            pipelock, exchange, json.dumps({"u": url}).replace("&", "\\u0026").encode(), content_type="application/json"
        )
    else:
        respond(pipelock, exchange, f'<a href="{url.replace("&", "&amp;")}">'.encode(), content_type="text/html")
    assert refused(pipelock, url) is None
    assert refused(pipelock, url.replace("part=1", "part=2")) == "dlp_match"


def point(
    addon: Pipelock, url: str, asked: str = f"{A}/go", method: str = "GET", body: bytes = b"", **h: str
) -> str | None:
    """The verdict on an address that A points to, when it was asked so."""
    respond(addon, ask(addon, asked, method, body, **h), status=302, location=url)
    return refused(addon, url)


def test_what_the_agent_told_a_host_does_not_go_on_to_another(pipelock: Pipelock) -> None:
    """Laundering: each time A is told something that DLP does not see, and puts a secret into an address of B."""
    for hidden in (lambda s: s[:12] + " and then " + s[12:24], lambda s: f"see {s[4:14]} and {s[14:30]}"):
        secret = pat()
        assert point(pipelock, f"{B}/?x={secret}", f"{A}/go", "POST", hidden(secret).encode()) == "dlp_match"
        secret = pat()
        piece = base64.b64encode(hidden(secret).encode()).decode()
        assert point(pipelock, f"{B}/?x={secret}", f"{A}/go", x_piece=piece) == "dlp_match"
    assert point(pipelock, f"{B}/?x={pat()}", f"{A}/go?to=b.example.org") == "dlp_match"  # an open redirect
    assert point(pipelock, f"{B}/?x={pat()}", f"{A}/go?to=Yi5leGFtcGxlLm9yZy9zb21lLXBhZ2U=") == "dlp_match"
    assert point(pipelock, f"http://b.example.org/?x={pat()}") == "dlp_match"
    assert point(pipelock, f"https://undeclared.example.org/?x={pat()}") == "domain_not_allowed"
    assert point(pipelock, f"{B}/?x={pat()}") is None


def test_what_a_host_knows_by_an_exception_does_not_go_on(pipelock: Pipelock, loaded: Pipelock) -> None:
    said = pat()
    say(pipelock, said)
    assert point(pipelock, f"{B}/?x={said}") == "dlp_match"  # its own
    token = jwt()
    say(pipelock, token)
    assert refused(pipelock, f"{A}/keep", "PUT", json.dumps({"token": token}).encode()) is None
    pipelock._answers._said._values.clear()  # long after
    assert point(pipelock, f"{B}/?jwt={token}") == "dlp_match"
    lax = "https://lax.example.org"
    exchange = ask(pipelock, f"{lax}/keep", "PUT", said.encode())
    assert exchange.response is None
    exchange = ask(pipelock, f"{lax}/go")
    respond(pipelock, exchange, status=302, location=f"{B}/?x={said}")
    assert refused(pipelock, f"{B}/?x={said}") == "dlp_match"
    pipelock._recent = Recent()
    pipelock._answers._said.let_through(A)  # by its owner, once
    assert point(pipelock, f"{B}/?x={pat()}") == "dlp_match"


def test_a_streamed_request_points_to_nobody(pipelock: Pipelock) -> None:
    url = f"{B}/?x={pat()}"
    exchange = ask(pipelock, f"{A}/go")
    exchange.request.stream = lambda chunk: chunk
    respond(pipelock, exchange, status=302, location=url)
    assert refused(pipelock, url) == "dlp_match"


def test_the_owners_credential_is_never_said_back(pipelock: Pipelock) -> None:
    keyed, token = "https://keyed.example.org", pat()
    mark = {"x_claude_bottle_injected": "authorization"}
    for value in (f"Bearer {token}", "Basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode()):
        exchange = ask(pipelock, f"{keyed}/me", authorization=value, **mark)
        respond(pipelock, exchange, json.dumps({"token": token}).encode(), content_type="application/json")
        assert refused(pipelock, f"{keyed}/me", x_token=token) == "dlp_match"
        exchange = ask(pipelock, f"{keyed}/me", authorization=value, **mark)
        respond(pipelock, exchange, status=302, location=f"/x?t={token}")
        assert refused(pipelock, f"{keyed}/x?t={token}") == "dlp_match"
    # Also where it was heard before it was put in.
    later = pat()
    say(pipelock, later, keyed)
    assert refused(pipelock, f"{keyed}/me", x_token=later) is None
    ask(pipelock, f"{keyed}/me", authorization=f"Bearer {later}", **mark)
    assert refused(pipelock, f"{keyed}/me", x_token=later) == "dlp_match"


def test_a_vendors_secret_is_not_published_where_it_was_read(pipelock: Pipelock) -> None:
    """A host keeps things apart that it shows to some: what it said goes back as a credential, not as content."""
    secret = pat()
    say(pipelock, secret)
    assert refused(pipelock, f"{A}/x", authorization=f"token {secret}") is None
    assert refused(pipelock, f"{A}/issues", "POST", json.dumps({"body": secret}).encode()) == "dlp_match"
    assert refused(pipelock, f"{A}/{secret}", "PUT", b"x") == "dlp_match"
    token = jwt()
    say(pipelock, token)
    assert refused(pipelock, f"{A}/revoke", "POST", f"token={token}".encode()) is None
    assert refused(pipelock, f"{A}/issues", "POST", f"look: {token} is it".encode()) == "dlp_match"


def test_names_of_hosts_are_told_to_name_servers(pipelock: Pipelock) -> None:
    label = "sk-ant-api03-" + "a1" * 10  # whatever it is: as a label it is another's to hear
    said = Said()
    said.hear("https://x.wild.example.org", values_in(label.encode()))
    from claude_bottle.dlp.said import Receiver

    class Rule:
        id, is_generic = "any", True

    receiver = Receiver(said, "https://x.wild.example.org", reads=True)
    assert receiver.knows(Rule(), "header", label.encode(), 0, len(label))
    assert not receiver.knows(Rule(), "host", label.encode(), 0, len(label))


def test_a_longer_secret_is_not_known_by_its_beginning(pipelock: Pipelock) -> None:
    token = jwt()
    say(pipelock, token[:-20])
    assert refused(pipelock, f"{A}/x", authorization=f"Bearer {token}") == "dlp_match"
    say(pipelock, token)
    for glued in (f"{token}{alnum(8)}", f"{alnum(8)}.{token}x"):
        assert refused(pipelock, f"{A}/x", authorization=f"Bearer {glued}") == "dlp_match"
    assert refused(pipelock, f"{A}/x", authorization=f"Bearer {token}", cookie=f"s={token}; id={alnum(30)}") is None


def test_running_text_and_other_types_say_nothing(pipelock: Pipelock) -> None:
    for kind, body in (
        ("text/plain", "token={}\n"), ("text/markdown", '"{}"'), ("application/json", '{{"body": "TOKEN=\\"{}\\" here"}}'),
        ("text/html", "<pre>{}</pre>"), ("application/octet-stream", '"{}"'), ("", '"{}"'),
        ("application/json", " " * LIMIT + '"{}"'),
    ):  # fmt: skip
        secret = pat()
        exchange = ask(pipelock, f"{A}/file")
        respond(pipelock, exchange, body.format(secret).encode(), **({"content_type": kind} if kind else {}))
        assert refused(pipelock, f"{A}/x", authorization=f"token {secret}") == "dlp_match", kind


def test_broken_encodings_are_passed_on_and_say_nothing(pipelock: Pipelock) -> None:
    secret = pat()
    for encoding in ("gzip", "x-own"):
        body = json.dumps({"token": secret}).encode()
        exchange = ask(pipelock, f"{A}/x")
        assert respond(pipelock, exchange, body, content_type="application/json", content_encoding=encoding) == body
    assert refused(pipelock, f"{A}/x", authorization=f"token {secret}") == "dlp_match"


def test_what_was_heard_is_bounded_and_ends() -> None:
    now = [1000.0]
    said = Said(lambda: now[0])
    said.hear(A, [b"first-value-1"])
    assert said.has_said(A, b"first-value-1")
    now[0] += VALUE_SECONDS
    assert not said.has_said(A, b"first-value-1")
    said.point(A, "/x?a=%2f")
    assert said.is_pointed_to(A, "/x?a=%2F")
    now[0] += URL_SECONDS
    assert not said.is_pointed_to(A, "/x?a=%2f")
    for host in range(40):
        said.hear(f"https://{host}", (b"%d-value-%d" % (host, n) for n in range(_OF_HOST + 100)))
    kept = sum(map(len, said._values.values()))
    assert kept == said._size <= _ALL
    assert max(map(len, said._values.values())) <= _OF_HOST
    assert said.has_said("https://39", b"39-value-%d" % _OF_HOST)
    for host in range(1000):
        said.hear(f"https://many{host}", [b"one-value-1"])
    assert len(said._values) <= 256
    assert said._size == sum(map(len, said._values.values()))


def test_with_too_much_to_remember_nothing_is_told_on() -> None:
    said = Said()
    assert said.may_be_told_on(A, b"some-value-12345")
    for number in range(_SENT):
        said.say_back(b"%d" % number)
    assert not said.may_be_told_on(A, b"some-value-12345")


def test_ears_take_pieces_as_they_come() -> None:
    value, url = jwt().encode(), f"{B}/x?jwt={jwt()}"
    body = b'{"a": "' + value + b'", "n": [1, 2], "u":"' + url.replace("/", "\\/").encode() + b'"}'
    for step in (1, 3, 100, 10_000):
        ears, values, urls = Ears("application/json", ""), set(), []
        for start in range(0, len(body), step):
            heard = ears.feed(body[start : start + step])
            values |= heard.values
            urls += heard.urls
        assert value in values
        assert url in urls
    assert heard_in_head([(b"Set-Cookie", b'a="' + value + b'"; Path=/')]).values >= {value}


def test_ears_that_hear_addresses_alone_stop_at_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    ears = Ears("application/json", "", limit=1 << 24, links=3)
    assert ears.feed(b'["some-value-1234567", "https://a.example.com/1", "https://a.example.com/2"').urls == [
        "https://a.example.com/1",
        "https://a.example.com/2",
    ]
    heard = ears.feed(b', "https://a.example.com/3", "https://a.example.com/4", "https://a.example.com/5"]')
    assert heard.urls == ["https://a.example.com/3"] and not heard.values and not ears.listens
    ears = Ears("application/json", "", limit=1 << 24, links=10)
    assert len(ears.feed(b'"https://a.example.com/%s" ' % (b"a" * 1000) * 10).urls) == 3, "so many letters in all"
    looked_at, add = [], Heard.add
    monkeypatch.setattr(Heard, "add", lambda self, text: (looked_at.append(text), add(self, text)))
    Ears("application/json", "", limit=1 << 24, links=10).feed(b'"https://a.example.com/" ' * 1000)
    assert len(looked_at) == 10, "nor is the rest of a piece looked at"


def test_a_small_piece_that_unpacks_to_much_ends_the_hearing() -> None:
    ears = Ears("application/json", "gzip", limit=1 << 24, links=10)
    ears.feed(gzip.compress(b" " * (1 << 20)))
    assert ears.listens
    ears.feed(gzip.compress(b" " * (3 << 20)))
    assert not ears.listens
