"""Bodies of a hundred megabytes where the manifest has them held and scanned whole (pipelock.dlp.max_body_mb).

They are judged by what has arrived outside. curl is the client.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import world

pytestmark = pytest.mark.docker

HOST, LEAK = "echo.example.com", "ghp_" + "1B4a2c8D9e7F" * 3
SIZE = 100 << 20
# Text without a secret and the same each time, which base64 by chance has not.
TEXT = f"openssl enc -aes-128-ctr -K {'0' * 32} -iv {'0' * 32} -in /dev/zero 2> /dev/null | base64 -w 0"


@pytest.fixture(scope="module")
def bottle(internet: world.Internet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[world.BottleUnderTest]:
    manifest = {
        "agent": {"memory": "1g"},
        "egress": {"routes": [{"host": HOST}]},
        "pipelock": {"ca_files": ["root.pem"], "dlp": {"max_body_mb": 256}},
        "network": {"external": internet.network},
    }
    with world.bottle(tmp_path_factory.mktemp("large"), manifest, files={"root.pem": internet.ca}) as bottle:
        bottle.up()
        bottle.agent(f"{TEXT} | head -c {SIZE} > ~/text; {{ cat ~/text; echo ' token={LEAK}'; }} > ~/leak")
        yield bottle


def upload(bottle: world.BottleUnderTest, file: str, path: str, *options: str) -> tuple[int, str]:
    """Status and answer. Neither proxy is killed for memory or started again."""
    started = [bottle.container_id(role) for role in ("egress", "pipelock")]
    answer = bottle.curl(*options, "--http1.1", "--data-binary", f"@/home/node/{file}", f"https://{HOST}{path}")
    assert [bottle.container_id(role) for role in ("egress", "pipelock")] == started
    return answer


@pytest.mark.parametrize("options", [(), ("-H", "Transfer-Encoding: chunked")], ids=["length", "chunked"])
def test_it_passes_whole(bottle: world.BottleUnderTest, internet: world.Internet, options: tuple[str, ...]) -> None:
    mark = internet.mark()
    assert upload(bottle, "text", "/large", *options)[0] == 200
    (arrived,) = internet.since(mark)
    assert (arrived["whole"], arrived["length"]) == (True, SIZE)
    assert arrived["sha256"] == bottle.agent("sha256sum ~/text").split()[0]


@pytest.mark.parametrize("options", [(), ("-H", "Transfer-Encoding: chunked")], ids=["length", "chunked"])
def test_a_secret_at_its_very_end_is_found_before_any_of_it_leaves(
    bottle: world.BottleUnderTest, internet: world.Internet, options: tuple[str, ...]
) -> None:
    mark = internet.mark()
    status, answer = upload(bottle, "leak", "/leak", *options)
    assert (status, json.loads(answer)["reason"]) == (403, "dlp_match")
    assert internet.since(mark) == []
