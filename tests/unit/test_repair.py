"""What a repair reports of the parts that belong to no state."""

from __future__ import annotations

import pytest

from claude_bottle.engines.client import EngineError
from claude_bottle.engines.docker.engine import Engine, Part
from claude_bottle.upkeep import repair


def test_only_a_part_that_the_engine_deleted_is_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Busy(Engine):
        """Two leftovers. Its network has an endpoint of another container, so it stays."""

        def parts(self, stack: str) -> list[Part]:
            return [Part("network", "n1", "net-s"), Part("volume", "v1", "home-s"), Part("container", "c1", "agent-s")]

        def docker(self, *argv: str, timeout: float = 30) -> str:
            if argv[0] == "network":
                raise EngineError("network net-s has active endpoints")
            return ""

    monkeypatch.setattr(repair, "ids_in_state", lambda _: set())
    assert repair.remove_orphans("s", Busy()) == 1
    assert capsys.readouterr().out.splitlines() == [
        "repair: container agent-s belongs to no state; deleting it",
        "repair: network net-s belongs to no state; deleting it",
        "repair: the engine did not delete network net-s; this command shows its reason: docker network rm net-s",
    ]
    assert not Busy().remove(Part("volume", "v1", "home-s"))
