"""What an index's answers may point to, and what of it may be read: the policy of `follow`."""

from __future__ import annotations

import time

import pytest

from addons.follow import named as follow
from addons.follow.named import Followed, Target, may_hear, target
from addons.follow.sent import Sent, sent_in, stands_for
from addons.frame.request import Request
from claude_bottle.policy.routes.follow import LINKS, REDIRECTS

BY = ("index.example.com", ())
INDEX = Request("https", "index.example.com", 443, "GET", "/simple/requests/")
FILE = "https://files.example.com/packages/ab/requests-2.32.0-py3-none-any.whl"


def asked(path: str = "/a", host: str = "files.example.com", method: str = "GET", scheme: str = "https") -> Request:
    return Request(scheme, host, 443 if scheme == "https" else 80, method, path)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def followed(clock: Clock) -> Followed:
    return Followed(clock)


def test_a_projects_name_in_its_normal_form_is_what_was_sent() -> None:
    """PEP 503, "Normalized Names": an index writes `-` for runs of `-`, `_` and `.`."""
    words = [f"word{number:03}" for number in range(90)]
    sent = Sent(["/simple/" + "_".join(words)])
    assert sent.letters_in("/files/" + "-".join(words)) > 600
    assert sent.letters_in("/files/" + "-.".join(words)) > 600


def test_exactly_the_address_that_was_named_is_found(followed: Followed, clock: Clock) -> None:
    followed.name(BY, LINKS, Target("files.example.com", "/a/b.tgz?sig=1", 0))
    for method in ("GET", "HEAD"):
        assert followed.find(asked("/a/b.tgz?sig=1", method=method)) is not None
    for other in (
        asked("/a/b.tgz"), asked("/a/b.tgz?sig=2"), asked("/a/b.tgz?sig=1&x=1"), asked("/A/b.tgz?sig=1"), asked("/a/b.tgz/?sig=1"),
        asked("/a/%62.tgz?sig=1"), asked("/a//b.tgz?sig=1"), asked("/a/b.tgz?sig=1", host="other.example.com"),
        asked("/a/b.tgz?sig=1", method="POST"), asked("/a/b.tgz?sig=1", method="OPTIONS"),
        asked("/a/b.tgz?sig=1", scheme="http"), Request("https", "files.example.com", 8443, "GET", "/a/b.tgz?sig=1"),
    ):  # fmt: skip
        assert followed.find(other) is None, other
    clock.now = follow.SECONDS - 1
    assert followed.find(asked("/a/b.tgz?sig=1")) is not None
    clock.now = follow.SECONDS
    assert followed.find(asked("/a/b.tgz?sig=1")) is None


def test_a_wheel_of_a_local_version_is_found_as_pip_asks_for_it(followed: Followed) -> None:
    followed.name(BY, LINKS, Target("files.example.com", "/@a/1!2.0%2fx~y/a-1!2.0+cu118-py3-none-any.whl?b=c+d", 0))
    assert followed.find(asked("/@a/1%212.0%2Fx~y/a-1%212.0%2Bcu118-py3-none-any.whl?b=c+d"))
    assert not followed.find(asked("/@a/1%212.0%2Fx~y/a-1!2.0%2Bcu118-py3-none-any.whl?b=c+d"))


def test_percent_signs_have_two_forms_and_no_third(followed: Followed) -> None:
    followed.name(BY, LINKS, Target("files.example.com", "/a%2bb%7ec", 0))
    assert followed.find(asked("/a%2bb%7ec")) and followed.find(asked("/a%2Bb~c"))
    assert not followed.find(asked("/a%2bb~c")) and not followed.find(asked("/%61%2Bb~c"))


def test_the_metadata_beside_a_wheel_of_an_index(followed: Followed) -> None:
    followed.name(BY, LINKS, Target("files.example.com", "/a.whl", 0))
    followed.name(BY, LINKS, Target("files.example.com", "/a.tgz", 0))
    followed.name(BY, REDIRECTS, Target("files.example.com", "/b.whl", 0))
    assert followed.find(asked("/a.whl.metadata"))
    for path in ("/a.tgz.metadata", "/b.whl.metadata", "/a.whl.metadata.metadata", "/a.whl.x"):
        assert not followed.find(asked(path)), path


@pytest.mark.parametrize(
    "url",
    [
        "http://files.example.com/a", "ftp://files.example.com/a", "https://files.example.com:8443/a", "https://192.0.2.7/a",
        "https://[2001:db8::7]/a", "https://0x7f000001/a", "https://2130706433/a", "https://me@files.example.com/a",
        "https://me:pw@files.example.com/a", "https://@files.example.com/a", "https://localhost/a", "https://files/a",
        "https://a.localhost/a", "https://printer.local/a", "https://db.internal/a", "https://x.corp/a", "https://x.home.arpa/a",
        "https://files.example.com/a\\b", "https://files.example.com/é", "https://files.example.com/" + "a" * 9000,
        "https://files.example.com/x.git/git-receive-pack", "https://files.example.com/x.git/info/refs?service=git-receive-pack",
        "https://index.example.com/other", "/other", "https://exämple.com/a", "https://files.example.com:x/a", "https:///a", "",
        "https://files.exa\tmple.com/a", "https://files.example.com/a\rb", "https://files.example.com/a\n", "\x00https://files.example.com/a",
        " https://files.example.com/a", "https://files.example.com/a b", "https://files.example.com/a#\u2028", "https://files.example.com/a#\xa0",
    ],
)  # fmt: skip
def test_what_leads_nowhere_that_may_be_followed(url: str) -> None:
    assert target(INDEX, url, Sent()) is None


def test_a_file_of_an_index_may_be_named() -> None:
    sent = sent_in(INDEX.path, [(b"User-Agent", b"pip/25.1"), (b"Host", b"index.example.com")])
    assert target(INDEX, FILE + "#sha256=00", sent) == Target("files.example.com", FILE[25:], len("/requests"))
    assert target(INDEX, "//files.example.com/a", sent) == Target("files.example.com", "/a", 0)


SECRET = "bearer-of-what-was-read-in-the-workspace"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (f"/simple/{SECRET}/", []),
        (f"/simple/{SECRET.upper()}/", []),
        ("/simple/x/", [(b"user-agent", SECRET.encode())]),
        ("/simple/" + "".join(f"%{ord(c):02x}" for c in SECRET) + "/", []),
        ("/simple/" + "".join(f"%25{ord(c):02x}" for c in SECRET) + "/", []),
        ("/simple/" + "".join(f"&#{ord(c)};" for c in SECRET) + "/", []),
        ("/simple/" + "".join(f"%26%23x{ord(c):x}%3b" for c in SECRET) + "/", []),
    ],
)
def test_what_the_agent_has_sent_counts_however_it_is_written(path: str, fields: list[tuple[bytes, bytes]]) -> None:
    sent = sent_in(path, fields)
    for url in (f"https://evil.example.com/{SECRET}", f"https://evil.example.com/?d={SECRET}"):
        result = target(INDEX, url, sent)
        assert result is not None and result.echoed in (len(SECRET), len(SECRET) + 1)  # a slash before it
    hidden = target(INDEX, "https://evil.example.com/" + "".join(f"%{ord(c):02x}" for c in SECRET), sent)
    assert hidden is not None and hidden.echoed >= len(SECRET)


def test_no_letters_of_the_agents_are_in_a_name_and_few_in_an_address() -> None:
    sent = sent_in("/simple/abcdefghij/" + "0123456789" * 21, [])
    assert target(INDEX, "https://abcdefghij.example.com/", sent) is None
    assert target(INDEX, "https://evil.example.com/x" + "0123456789" * 20, sent) is not None
    assert target(INDEX, "https://evil.example.com/x" + "0123456789" * 20 + "0", sent) is None


@pytest.mark.parametrize(
    "path",
    [
        "/out/https://x.io/a",
        "/out/X.IO",
        "/out/x%2eio",
        "/out/x%252eio",
        "/out/x&#46;io",
        "/out/www.x.io.",
        "/x.io.example.com",
    ],
)
def test_a_name_that_is_shorter_than_a_piece_is_not_chosen_by_what_was_sent(path: str) -> None:
    for fields, request_path in (([], path), ([(b"user-agent", path.encode())], "/")):
        sent = sent_in(request_path, fields)
        assert target(INDEX, "https://x.io/a", sent) is None and target(INDEX, "https://a.x.io/a", sent) is None
        assert (
            target(INDEX, "https://xx.io/a", sent) is not None and target(INDEX, "https://x.io.to/a", sent) is not None
        )


def test_what_a_wildcard_stands_for_was_sent() -> None:
    assert stands_for("*.wild.example.com", "a.b.wild.example.com") == "a.b"
    assert stands_for("wild.example.com", "wild.example.com") == ""
    sent = sent_in("/", [], f"{SECRET}.abc")
    result = target(INDEX, f"https://files.example.org/{SECRET}", sent)
    assert result is not None and result.echoed == len(SECRET)
    for host in (f"{SECRET}.example.org", f"x{SECRET}.example.org", "abc.example.org"):
        assert target(INDEX, f"https://{host}/", sent) is None, host


def test_what_follows_is_not_counted_again_and_is_in_no_name() -> None:
    sent = sent_in(f"/{SECRET}/x.io", [], counted=False)
    assert target(INDEX, f"https://files.example.org/{SECRET * 9}", sent) == Target(
        "files.example.org", f"/{SECRET * 9}", 0
    )
    assert (
        target(INDEX, f"https://{SECRET}.example.org/", sent) is None and target(INDEX, "https://x.io/", sent) is None
    )


def test_what_is_sent_is_looked_at_in_little_time() -> None:
    assert not sent_in("/" + "a" * 16_000, []).is_too_much
    assert sent_in("/", [(b"cookie", b"a" * 8192), (b"x", b"a" * 8192)]).is_too_much
    begun = time.process_time()
    for letters in ("a" * 16_000, "a." * 8_000, "%26" * 5_000, "&#38;" * 3_000, "-" * 16_000):
        sent_in(letters, []).is_in("a.example.org")
    assert time.process_time() - begun < 2


def test_an_answer_is_heard_only_where_the_agent_has_no_query_and_no_body() -> None:
    assert may_hear(INDEX, False) and may_hear(asked(method="HEAD"), False)
    for request, content in (
        (INDEX, True),
        (asked("/search?q=x"), False),
        (asked(method="POST"), False),
        (asked(scheme="http"), False),
    ):
        assert not may_hear(request, content)


def test_what_the_agent_has_sent_is_bounded_in_an_hour(followed: Followed, clock: Clock) -> None:
    urls = [f"/{number}" for number in range(200)]
    for url in urls:
        followed.name(BY, LINKS, Target("files.example.com", url, 100))
    passed = [url for url in urls if followed.spend(asked(url))]
    assert len(passed) == (16 << 10) // 100
    assert followed.spend(asked(passed[0])), "the same once more tells nothing"
    followed.name(("other.example.com", ()), LINKS, Target("files.example.com", "/x", 100))
    assert followed.spend(asked("/x")), "each route has its own"
    followed.name(BY, LINKS, Target("files.example.com", passed[0], 100))
    assert followed.find(asked(passed[0])).echoed == 0  # type: ignore[union-attr]
    clock.now = follow.SECONDS
    followed.name(BY, LINKS, Target("files.example.com", "/last", 100))
    assert followed.spend(asked("/last"))
    assert not followed.spend(asked("/never-named"))


def test_memory_is_bounded(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_URLS", 10)
    for number in range(25):
        followed.name(BY, LINKS, Target("files.example.com", f"/{number}", 0))
    assert not followed.find(asked("/0")) and followed.find(asked("/24")) and followed.find(asked("/15"))


def test_redirects_behind_one_another_have_an_end(followed: Followed) -> None:
    followed.name(BY, REDIRECTS, Target("files.example.com", "/3", 0), hops=3)
    followed.name(BY, REDIRECTS, Target("files.example.com", "/4", 0), hops=4)
    assert followed.find(asked("/3")) and not followed.find(asked("/4"))


@pytest.mark.parametrize(
    "path",
    [
        # url.spec.whatwg.org, 4.4: "remove all ASCII tab or newline"; 3.3: hosts are mapped by UTS 46.
        "/out/https://se%09cret.com/D",
        "/out/https://se%0Acret.com/D",
        "/out/https://se%C2%ADcret.com/D",
        "/out/https://secret%E3%80%82com/D",
        "/out/https://%EF%BD%93ecret.com/D",
        "/out/https%25253A%25252F%25252Fsecret%25252Ecom",
    ],
)
def test_a_name_that_a_server_tidies_up_was_sent(path: str) -> None:
    sent = sent_in(path, [])
    assert target(INDEX, "https://secret.com/D", sent) is None
    assert target(INDEX, "https://files.example.com/x", sent) is not None


def test_a_name_in_its_ascii_form_was_sent() -> None:
    assert target(INDEX, "https://xn--bchereien-p9a.de/x", sent_in("/out/https://b%C3%BCchereien.de", [])) is None


def test_names_of_headers_were_sent() -> None:
    fields = [(b"X-Verysecretdata", b"1"), (b"Accept-Encoding", b"gzip")]
    assert target(INDEX, "https://verysecretdata.example.net/x", sent_in("/a", fields)) is None
    assert target(INDEX, "https://accept-encoding.example.net/x", sent_in("/a", fields)) is not None
    named = target(INDEX, "https://example.net/verysecretdata", sent_in("/a", fields))
    assert named is not None
    assert named.echoed >= 12
