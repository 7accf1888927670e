"""What `helm test` runs: it waits for what comes late, and says what does not come."""

from __future__ import annotations

import pytest

from tapedeck_maintenance.connection_check import check


def test_what_comes_late_is_waited_for_and_what_fails_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []

    def late() -> str:
        asked.append("x")
        if len(asked) < 2:
            raise ConnectionRefusedError("not yet")
        return "200"

    assert check({"late": late, "there": lambda: "12 topics"}, wait=30)
    assert capsys.readouterr().out.splitlines() == ["late: 200", "there: 12 topics"]

    def never() -> str:
        raise LookupError("no topic")

    assert not check({"never": never, "there": lambda: "12 topics"}, wait=0)
    assert capsys.readouterr().out.splitlines() == ["never: failed: no topic", "there: 12 topics"]
