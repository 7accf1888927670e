"""Each strategy of the escape list fails its run cleanly, with a message that says what was not allowed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from escapes import ESCAPES, HEAD, Escape
from pods.engine import random_bars
from pods.strategy_process import run_strategy
from tapedeck_backtest.errors import RunFailed, StrategyKilled
from tapedeck_common.records import RunFill
from tapedeck_common.sandbox.descendants import children
from waits import within

pytestmark = pytest.mark.slow

BARS = random_bars("A", 1, 200)


def attempt(escape: Escape, folder: Path) -> RunFailed:
    """The failure of the run that tries to escape."""
    pod, other = folder / "pod", folder / "other"
    for each in (pod, pod / "connections", other):
        each.mkdir()
    secret, sibling = pod / "connections" / "store_dsn", other / "results"
    secret.write_text("postgresql://somebody:password@nowhere/")
    sibling.write_text("of another run")
    (pod / "mine.py").write_text(escape.module(secret=secret, sibling=sibling))
    with pytest.raises(RunFailed) as failure:
        run_strategy(pod, BARS, "mine:Escapes", limits={"barSeconds": 1 if escape.reason == "TimeLimit" else 60})
    assert sorted(path.name for path in pod.iterdir()) == ["connections", "mine.py"]
    return failure.value


@pytest.mark.parametrize("name", ESCAPES)
def test_escape_fails_the_run_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    escape, before = ESCAPES[name], children()
    with within(30):
        failure = attempt(escape, tmp_path)
    assert (failure.reason, escape.message in failure.message) == (escape.reason, True), failure.message
    assert "password" not in failure.message
    assert children() <= before


def test_results_are_those_of_the_run_whatever_the_strategy_says(tmp_path: Path) -> None:
    body = (
        "from tapedeck_common.records import RunFill\n"
        "    pipe().send(RunFill('another-run', 77, 'A', 1, 'buy', 1.0, 1.0))\n"
    )
    (tmp_path / "mine.py").write_text(HEAD + "    " + body)
    _, records = run_strategy(tmp_path, BARS, "mine:Escapes")
    (forged,) = [record for record in records if isinstance(record, RunFill)]
    assert (forged.run_id, forged.seq) == ("run", 0)


def test_output_past_every_stream_stays_within_its_limit(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    body = "    for _ in range(100):\n        os.write(1, b'flood ' * 100_000)\n        print('flood' * 100_000)\n"
    (tmp_path / "mine.py").write_text(HEAD + body)
    run_strategy(tmp_path, BARS, "mine:Escapes", limits={"outputBytes": 20_000})
    assert 20_000 < len(capfd.readouterr().err) < 21_000


def test_environment_holds_nothing_of_the_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEDECK_CONNECTION_STORE_DSN", "postgresql://somebody:password@nowhere/")
    (tmp_path / "mine.py").write_text(HEAD + "    raise LookupError(sorted(os.environ))\n")
    with pytest.raises(RunFailed, match="LookupError") as failure:
        run_strategy(tmp_path, BARS, "mine:Escapes")
    assert "TAPEDECK" not in failure.value.message
    assert "TMPDIR" in failure.value.message


def test_process_that_is_killed_from_outside_is_no_failure_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(HEAD + f"    os.kill(os.getpid(), {int(signal.SIGKILL)})\n")
    with pytest.raises(StrategyKilled, match="not an OOM kill") as killed:
        run_strategy(tmp_path, BARS, "mine:Escapes")
    assert killed.value.exit_code == 137
