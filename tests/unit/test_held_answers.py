"""Answers that are held for HTTP/1.0 clients (RFC 9112, 6.3: their end is told by a length) have a bound together."""

from __future__ import annotations

import gc

import pytest
from mitmproxy.test import tutils

from addons.http import http1_bodies
from addons.http.http1_bodies import HeldBody


def test_held_answers_have_a_bound_together_and_give_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1_bodies, "_MOST_HELD", 100)
    gc.collect()
    assert HeldBody.total == 0
    first, second = HeldBody(tutils.tresp()), HeldBody(tutils.tresp())
    assert first.piece(b"x" * 60) == b""
    with pytest.raises(ValueError, match="too many"):
        second.piece(b"x" * 60)
    assert HeldBody.total == 60
    assert first.end(()).endswith(b"x" * 60)
    del first
    gc.collect()
    assert HeldBody.total == 0
    assert HeldBody(tutils.tresp()).piece(b"x" * 90) == b""
