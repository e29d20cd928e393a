"""What honest programs send passes; what only goes by a name is found where the name is a credential's."""

from __future__ import annotations

import base64
import json
import random
import string
import uuid
from collections.abc import Callable

import pytest
from mnemonic import Mnemonic

from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.rules.names import says_credential, words_of
from claude_bottle.dlp.rules.ruleset import RuleSet
from claude_bottle.dlp.rules.seed_phrase import find_seed_phrase

RNG = random.Random(21)


@pytest.fixture(autouse=True)
def _the_same_values_whatever_ran_before(request: pytest.FixtureRequest) -> None:
    RNG.seed(request.node.name)


def b64(size: int) -> str:
    return base64.b64encode(RNG.randbytes(size)).decode()


def url64(size: int) -> str:
    return base64.urlsafe_b64encode(RNG.randbytes(size)).decode().rstrip("=")


def alnum(size: int) -> str:
    return "".join(RNG.choice(string.ascii_letters + string.digits) for _ in range(size))


def ident() -> str:
    return str(uuid.UUID(int=RNG.getrandbits(128), version=4))


# Where the name is from, beside each.
HEADERS: dict[str, Callable[[], str]] = {
    "Sec-WebSocket-Key": lambda: b64(16),  # RFC 6455
    "Idempotency-Key": ident,  # draft-ietf-httpapi-idempotency-key-header; Stripe
    "X-XSRF-TOKEN": lambda: url64(40),  # Angular, HttpClient security
    "X-CSRF-Token": lambda: b64(64),  # Rails
    "RequestVerificationToken": lambda: url64(115),  # ASP.NET Core, antiforgery
    "Lock-Token": lambda: f"<urn:uuid:{ident()}>",  # RFC 4918
    "X-Amz-Client-Token": ident,
    "anthropic-beta": lambda: "claude-code-20250219,oauth-2025-04-20,interleaved-thinking-2025-05-14",  # Claude Code
    "Surrogate-Key": lambda: f"post-{RNG.randrange(10**6)} author-{RNG.randrange(10**6)}",  # Fastly
    "X-Correlation-Token": ident,
    "Cookie": lambda: f"XSRF-TOKEN={url64(40)}; csrftoken={alnum(32)}; _csrf_token={url64(32)}",  # Angular, Django, Rails
}  # fmt: skip
QUERIES: dict[str, Callable[[], str]] = {
    "pageToken": lambda: url64(40),  # Google APIs
    "page_token": lambda: url64(40),  # Google AIP-158
    "continuation-token": lambda: b64(33).replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),  # S3
    "syncToken": lambda: url64(20),  # Google Calendar
    "nextPageToken": lambda: url64(30),
    "$skiptoken": lambda: url64(60),  # OData 4.01
    "starting_token": lambda: url64(60),  # AWS CLI
    "keys": lambda: f"node-cache-Linux-x64-npm-{RNG.randbytes(32).hex()}",  # actions/cache
}
FIELDS: dict[str, Callable[[], str]] = {
    "NextToken": lambda: b64(60),  # AWS
    "nextToken": lambda: b64(120),
    "ClientToken": ident,  # AWS, idempotency
    "ClientRequestToken": ident,
    "clientRequestToken": ident,
    "dedup_key": lambda: RNG.randbytes(16).hex(),  # PagerDuty, Events API v2
    "cache_key": lambda: RNG.randbytes(16).hex(),
    "partitionKey": ident,  # Azure Cosmos DB
    "PartitionKey": ident,  # Kinesis
    "sort_key": lambda: b64(20),
    "key": ident,  # Redis, React
    "cursor_token": lambda: b64(30),
    "primaryKey": ident,
    "authenticity_token": lambda: b64(64),  # Rails
    "csrfmiddlewaretoken": lambda: alnum(64),  # Django
    "__RequestVerificationToken": lambda: url64(115),  # ASP.NET
    "publicKeyToken": lambda: RNG.randbytes(20).hex(),
    "g-recaptcha-token": lambda: url64(300),
    "routing_key": lambda: f"orders.created.{RNG.randrange(100)}.eu-west-1",  # AMQP
    "tokenizer_class": lambda: f"PreTrainedTokenizerFast{RNG.randrange(100)}",
}  # fmt: skip
# Names of credentials as services and programs document them (their reference pages, or the CLI's environment).
CREDENTIALS = """
    password passwd db_password PGPASSWORD REDIS_PASSWORD client_secret clientSecret CLIENT_SECRET api_key apiKey
    apikey x-api-key X-Api-Key api-key DD_API_KEY DD_APP_KEY access_token accessToken ACCESS_TOKEN refresh_token
    refreshToken session_token sessionToken AUTH_TOKEN auth_token authToken SECRET_KEY SECRET_KEY_BASE secretKey
    private_key_passphrase signing_key SIGNING_SECRET ENCRYPTION_KEY encryptionKey JWT_SECRET jwtSecret token TOKEN
    X-Auth-Token X-Vault-Token X-Consul-Token bot_token webhook_secret account_key AccountKey subscription_key
    Ocp-Apim-Subscription-Key page_access_token pageAccessToken license_key deploy_token CI_JOB_TOKEN stream_key
    algolia_search_api_key cache_password idempotency_secret csrf_secret_key user_token oauth_token oauth_token_secret
    consumer_key consumer_secret master_key storage_key openai_key stripekey accesstoken authtoken secretkey""".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def dlp() -> Dlp:
    return Dlp(RuleSet())


@pytest.mark.parametrize("name", HEADERS)
def test_headers_of_the_protocol_pass(dlp: Dlp, name: str) -> None:
    for _ in range(40):
        value = HEADERS[name]()
        assert dlp.look_at_headers([(b"accept", b"*/*"), (name.encode(), value.encode())]) is None, value


@pytest.mark.parametrize("name", QUERIES)
def test_pages_and_cursors_pass(dlp: Dlp, name: str) -> None:
    for _ in range(40):
        value = QUERIES[name]()
        assert dlp.look_at_url("api.example.com", f"/v1/items?limit=20&{name}={value}") is None, value


@pytest.mark.parametrize("name", FIELDS)
def test_fields_that_hold_no_credential_pass(dlp: Dlp, name: str) -> None:
    for _ in range(40):
        value = FIELDS[name]()
        assert dlp.look_at_body(json.dumps({"id": 7, name: value}).encode(), "application/json", "") is None, value
        assert dlp.look_at_body(f"{name}: {value}\n".encode(), "text/yaml", "") is None, value


@pytest.mark.parametrize("name", CREDENTIALS)
def test_names_of_credentials_are_found(dlp: Dlp, name: str) -> None:
    findings = [
        dlp.look_at_body(json.dumps({name: f"{alnum(18)}7Q{alnum(12)}"}).encode(), "application/json", "")
        for _ in range(20)
    ]
    assert (
        sum(one is not None for one in findings) >= 18
    )  # a few look like words to gitleaks, or have too little entropy


@pytest.mark.parametrize(
    ("name", "words"),
    [("nextPageToken", ["next", "page", "token"]), ("X-XSRF-TOKEN", ["x", "xsrf", "token"]), ("APIKey", ["api", "key"]),
     ("nextpagetoken", ["next", "page", "token"]), ("Sec-WebSocket-Key", ["sec", "web", "socket", "key"]),
     ("csrftoken", ["csrf", "token"]), ("accessKeyId", ["access", "key", "id"])],
)  # fmt: skip
def test_names_are_read_by_their_words(name: str, words: list[str]) -> None:
    assert words_of(name) == words


@pytest.mark.parametrize("name", ["monkey", "keyboard", "tokenizer", "accessibility", "author", "key_id", "token_type"])
def test_ordinary_words_name_no_credential(name: str) -> None:
    assert not says_credential(words_of(name))


@pytest.mark.parametrize(
    "text",
    [
        "golang.org/x/oauth2 v0.21.0 h1:tsimM75w1tF/uws5rbeHzIWxEqElMehnc+iW793zsZs=",  # of a go.sum
        "github.com/99designs/go-keychain v0.0.0-20191008050251-8e49817e8af4 h1:/vQbFIOMbk2FiG/kXiLl8BRyzTWDw7gX/Hz7Dd5eDMs=",
        "token->next_sibling_node_2;",
        '{"a": 1}\n{"b": [2]}\n',  # NDJSON
        '{"a": 1,}',
        "a=1&b=2",
    ],
)
@pytest.mark.parametrize("kind", ["text/plain", "application/json"])
def test_text_of_every_kind_is_read_as_it_is(dlp: Dlp, text: str, kind: str) -> None:
    assert dlp.look_at_body(text.encode(), kind, "") is None
    assert dlp.look_at_body(f"{text}\n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\n".encode(), kind, "") is not None


def test_a_signature_names_its_key_and_the_key_is_found_elsewhere(dlp: Dlp) -> None:
    """The example of the S3 API, Authenticating requests: using query parameters, with a key that is no example."""
    key, scope = "AKIAQ3EGRV7XWZ2MN5KP", "/20130524/us-east-1/s3/aws4_request"
    quoted = scope.replace("/", "%2F")
    assert dlp.look_at_url("b.s3.amazonaws.com", f"/t.txt?X-Amz-Credential={key}{quoted}&X-Amz-Date=1") is None
    signed = f"AWS4-HMAC-SHA256 Credential={key}{scope}, SignedHeaders=host, Signature={'fe5f' * 16}"
    assert dlp.look_at_headers([(b"authorization", signed.encode())]) is None
    assert dlp.look_at_url("b.s3.amazonaws.com", f"/t.txt?X-Amz-Credential={key}") is not None
    assert dlp.look_at_body(f"{key}/20130524 {scope}".encode(), "text/plain", "") is not None


def test_values_of_headers_behind_one_another_have_no_names(dlp: Dlp) -> None:
    """The headers of PyGithub 2 for `get_issues`."""
    headers = {
        "Host": "forge.example.com",
        "User-Agent": "PyGithub/Python",
        "Accept-Encoding": "gzip, deflate",
        "Accept": "*/*",
        "Connection": "keep-alive",
        "Authorization": "token placeholder",
        "X-GitHub-Api-Version": "2022-11-28",
        "Cookie": "session=Uu9qY2hIb3c3V0dFUnN1b2R2N3p4cTFqS2xNbk9wUXJTdFV2V3hZejAxMjM0NTY3ODk",
    }
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    assert dlp.look_at_headers(pairs) is None
    assert dlp.look_at_headers([*pairs, (b"x-a", b"api_key: Zx81kQp0aLw93mNbV7cYtR2e")]) is not None


def test_a_signature_of_azure_is_none_and_the_key_is_one(dlp: Dlp) -> None:
    """Microsoft, Authorize with Shared Key: Authorization: SharedKey account:signature, HMAC-SHA256 in base64."""
    for seed in range(50):
        signature = base64.b64encode(random.Random(seed).randbytes(32)).decode()
        assert dlp.look_at_headers([(b"authorization", f"SharedKey devstoreaccount1:{signature}".encode())]) is None
    key = base64.b64encode(random.Random(0).randbytes(64)).decode()
    assert (
        dlp.look_at_body(f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={key}".encode(), "", "") is not None
    )
    assert dlp.look_at_headers([(b"x-note", f"SharedKey devstoreaccount1:{key}".encode())]) is not None


def test_what_an_upload_is_cut_into_is_put_together(dlp: Dlp) -> None:
    secret = b"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"
    for cut in (3, 20, 39):
        body = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (cut, secret[:cut], len(secret) - cut, secret[cut:])
        assert dlp.look_at_body(body, "text/plain", "aws-chunked") is not None
    trailer = b"1\r\na\r\n0\r\nx-note:" + secret + b"\r\n\r\n"
    assert dlp.look_at_body(trailer, "text/plain", "aws-chunked") is not None
    assert dlp.look_at_body(b"1\r\na\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n", "", "aws-chunked") is None


# Lines of files that are public: go.sum of google.golang.org/grpc v1.85.0, MODULE.bazel.lock of grpc-gateway 2.30.0 (two
# digests beside one another), semconv of OpenTelemetry for Go (read backwards it has the name of a shop in it);
# _distutils/msvccompiler.py of setuptools 66, git_test.go and rpc.go of pulumi/sdk 3.228.0, the stylesheet in antd.min.js
# 6, resource_private_key_test.go of terraform-provider-tls, net/http/sniff_test.go of Go 1.27, mode-ruby.js of ace-builds.
PUBLIC = {
    "an attribute under its own name": "        RegOpenKeyEx = win32api.RegOpenKeyEx\n        RegEnumKey = win32api.RegEnumKey\n",
    "a password for show": '"https://gitlab-ci-token:dummytoken@gitlab.com/owner-name/repo-name.git",',
    "a name of a credential": 'r.TestCheckNoResourceAttr("tls_private_key.test", "private_key_pem_pkcs8"),',
    "a token for what is unknown": 'const rpcTokenUnknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"',
    "magic bytes in a list": '{"RAR v1.5-v4.0", []byte("Rar!\\x1A\\x07\\x00"), "application/x-rar-compressed"},\n'
    '{"RAR v5+", []byte("Rar!\\x1A\\x07\\x01\\x00"), "application/x-rar-compressed"},',
    "names of functions": "select_month|select_day|select_hour|select_minute|select_second|file_field_tag",
    "a stylesheet's words": "select[size]\":{height:\"auto\"},\"input[type='file']:focus, input[type='radio']:focus",
    "a digest in go.sum": "github.com/go-logr/stdr v1.2.2 h1:hSWxHoqTgW2S2qGc0LTAI563KZ5YKYRhT3MFKZMbjag=",
    "subresource integrity": 'integrity="sha384-oqVuAfXRKap7fdgcCY5uykM6+LTAI563KZ5YKYRhT3MFKZMbjag9kLQ8UXYcBlk6"',
    "digests in JSON": json.dumps(
        ["0a" * 10 + "4b1d" + "c9fdbdd29231986cd19c9fdbdd292319864b1d12", "plan9_amd64", "go1.25.0"]
    ),
    "constants": '// Stability: development\n\t// used\nSystemPagingStateUsed = SystemPagingStateKey.String("used")',
}


@pytest.mark.parametrize("text", PUBLIC.values(), ids=PUBLIC)
def test_lines_of_public_files_hold_no_secret(dlp: Dlp, text: str) -> None:
    for kind in ("text/plain", "application/json"):
        assert dlp.look_at_body(text.encode(), kind, "") is None


def test_what_looks_like_a_digest_hides_no_secret(dlp: Dlp) -> None:
    """Only of a digest's own length, and never what a prefix makes certain."""
    key = "LTAI" + "4G8hX2kPq7RwZ9sTnB3v"
    for text in (f"h1:{key}", f"h1:aaaa{key}bbbb=", f"key={key}", f"sha256-{key}"):
        assert dlp.look_at_body(text.encode(), "text/plain", "") is not None, text
    sure = "h1:" + ("LTAI5t" + "8hX2kPq7RwZ9sTnB3v" + "c" * 43)[:43] + "="
    assert dlp.look_at_body(sure.encode(), "text/plain", "") is not None


def test_what_is_like_the_lines_of_public_files_is_found(dlp: Dlp) -> None:
    for text in (
        "RegOpenKeyEx = win32api.Zx81kQp0aLw93mNbV7cYtR2e",
        "api_key = Zx81kQp0aLw93mNbV7cYtR2e.api_key",
        'secret_token = "private_key_x9fk2lq8"',
        'rpc_token = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"',
        "https://gitlab-ci-token:dummy7Kq2wLx9@gitlab.example.com/owner/repo.git",
    ):
        assert dlp.look_at_body(text.encode(), "text/plain", "") is not None, text


def test_a_phrase_between_separators_of_many_kinds_is_found() -> None:
    """As drawn, with all words different; with few of them repeated where the separators are those of a list."""
    language, rng = Mnemonic("english"), random.Random(5)
    for strength in (128, 256):
        for _ in range(20):
            words = language.to_mnemonic(rng.randbytes(strength // 8)).split()
            odd = "".join(word + rng.choice((" - ", '":"', "'],[", "=", "; ")) for word in words)
            assert find_seed_phrase(odd.encode()) is not None or len(set(words)) < len(words) - 1 - (len(words) > 18)
            assert find_seed_phrase("".join(f"{n}. {word}\n" for n, word in enumerate(words)).encode()) is not None
