"""The checks of a strategy say that they run."""

from __future__ import annotations

import subprocess

import pytest

from tapedeck_deck.cli.strategies import wait_for_checks


def test_checks_that_take_longer_than_two_seconds_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    for seconds, said in (("0.1", ""), ("2.5", "backtest/mine: checking for 2 s\n")):
        with subprocess.Popen(["sleep", seconds]) as process:
            wait_for_checks(process, "mine")
        assert (capsys.readouterr().err, process.returncode) == (said, 0)
