"""The connection check of `helm test`: it waits for late services and reports failed ones."""

from __future__ import annotations

import pytest

from tapedeck_crds.errors import NotFound
from tapedeck_maintenance.connection_check import check


def test_it_waits_for_late_services_and_reports_failed_ones(capsys: pytest.CaptureFixture[str]) -> None:
    attempts: list[str] = []

    def late() -> str:
        attempts.append("x")
        if len(attempts) < 2:
            raise ConnectionRefusedError("not yet")
        return "200"

    assert check({"late": late, "there": lambda: "12 topics"}, wait=30)
    assert capsys.readouterr().out.splitlines() == ["late: 200", "there: 12 topics"]

    def never() -> str:
        raise NotFound("no topic")

    assert not check({"never": never, "there": lambda: "12 topics"}, wait=0)
    assert capsys.readouterr().out.splitlines() == ["never: failed: no topic", "there: 12 topics"]
