"""`tapedeck top`: rates and quantiles of two scrapes, and what a resource's row has."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any, cast

import pytest

from tapedeck_crds.json import Json
from tapedeck_deck.cli.scrapes import Scrape, ScrapeChange, parse
from tapedeck_deck.cli.top import view
from tapedeck_deck.cli.top.disk import DiskUse, disk_use
from tapedeck_deck.cli.top.layout import shares
from tapedeck_deck.cli.top.processes import ProcessMeter, ProcessUse
from tapedeck_deck.cli.top.state import (
    DeckMeter,
    DeckState,
    GatewayRow,
    RecorderRow,
    ResourceRow,
    recorder_row,
    resource_row,
)

LATENESS = "tapedeck_replay_lateness_seconds"


def scraped(at: float, bars: int, late: tuple[int, int, int], speed: float = 60.0) -> Scrape:
    """A Replay's pod: bars published, and cumulative buckets of 10 ms, 1 s and more."""
    return parse(
        f"# TYPE tapedeck_replay_records counter\ntapedeck_replay_records_total {bars}\n"
        f"# TYPE {LATENESS} histogram\n"
        f'{LATENESS}_bucket{{le="0.01"}} {late[0]}\n{LATENESS}_bucket{{le="1.0"}} {late[1]}\n'
        f'{LATENESS}_bucket{{le="+Inf"}} {late[2]}\n{LATENESS}_sum 1\n{LATENESS}_count {late[2]}\n'
        f"tapedeck_replay_measured_speed_ratio {speed}\ntapedeck_replay_wanted_speed_ratio +Inf\n",
        at,
    )


def test_rates_and_quantiles_are_of_the_time_between_two_scrapes() -> None:
    change = ScrapeChange(scraped(10.0, 1_000, (900, 900, 1_000)), scraped(12.0, 1_500, (900, 1_400, 1_500)))
    assert change.rate("tapedeck_replay_records_total") == 250
    assert change.quantile(LATENESS, 0.5) == 1.0, "the 500 new ones took longer than 10 ms"
    assert change.quantile(LATENESS, 0.999) == 1.0
    slow = ScrapeChange(scraped(10.0, 0, (0, 0, 0)), scraped(11.0, 0, (0, 0, 7)))
    assert slow.quantile(LATENESS, 0.99) == math.inf
    assert change.rate("tapedeck_feed_records_total") is None


def test_the_first_scrape_has_no_rate_and_a_restarted_pod_no_negative_one() -> None:
    assert ScrapeChange(None, scraped(1.0, 5, (1, 1, 1))).rate("tapedeck_replay_records_total") is None
    again = ScrapeChange(scraped(1.0, 500, (1, 1, 1)), scraped(2.0, 5, (1, 1, 1)))
    assert again.rate("tapedeck_replay_records_total") == 0
    assert again.quantile(LATENESS, 0.5) is None


def test_a_replay_of_two_shards_adds_rates_and_shows_the_slowest() -> None:
    document: Json = {
        "kind": "Replay",
        "metadata": {"namespace": "default", "name": "r"},
        "status": {"phase": "Running", "progress": "1/2", "position": "2024-01-01T00:00:00Z"},
    }
    first = ScrapeChange(scraped(0.0, 0, (0, 0, 0)), scraped(1.0, 100, (10, 10, 10), speed=50.0))
    second = ScrapeChange(scraped(0.0, 0, (0, 0, 0)), scraped(1.0, 20, (0, 10, 10)))
    row = resource_row(document, [first, second])
    assert (row.per_second, row.speed, row.wanted_speed, row.late_seconds) == (120, 50, math.inf, 1.0)
    assert resource_row({**document, "status": None}, []) == ResourceRow("Replay", "default", "r", "Pending")


def test_the_lag_of_two_recorders_adds_up_and_the_oldest_record_counts() -> None:
    def recorder(records: int, seconds: int) -> ScrapeChange:
        topic = '{topic="market.bars"}'
        text = f"tapedeck_recorder_lag_records{topic} {records}\ntapedeck_recorder_lag_seconds{topic} {seconds}\n"
        return ScrapeChange(None, parse(text, 0.0))

    row = recorder_row([recorder(5, 1), recorder(7, 9)])
    assert (row.lag_records, row.lag_seconds) == ({"market.bars": 12}, {"market.bars": 9})


def state() -> DeckState:
    rows = [
        ResourceRow("Backtest", "team", "sma", "Complete", "10/10"),
        ResourceRow("Replay", "default", "tape", "Running", "1/2", 1234.5, 59.9, math.inf, 2.5, "2024-01-01T00:00:00Z"),
    ]
    recorder = RecorderRow(100.0, {"market.bars": 12.0}, {"market.bars": 61.0})
    processes = [ProcessUse("deck", 1, 1, 50 * 2**20, 1.0, 0.5), ProcessUse("database", 2, 6, 2 * 2**30, 1.0, None)]
    disk = DiskUse(3 * 2**30, 2**40, 2**41, {"kafka": 3 * 2**30})
    return DeckState(0.0, rows, recorder, GatewayRow(3.0, None, 20.0, 0.05), processes, disk, {"disk": "full\x1b[0m"})


def test_the_text_has_everything_and_nothing_that_a_terminal_obeys() -> None:
    from rich.console import Console

    console = Console(width=140, record=True, file=io.StringIO(), force_terminal=False)
    console.print(view.render(state()))
    text = console.export_text()
    assert "\x1b" not in text
    lines = [line.split() for line in text.splitlines()]
    (tape,) = (line for line in lines if line[:1] == ["replay/tape"])
    assert tape == ["replay/tape", "Running", "1/2", "1,234", "59.9", "of", "max", "2.5", "s", "2024-01-01T00:00:00Z"]
    assert any(line[:1] == ["backtest/team/sma"] for line in lines)
    assert ["market.bars", "12", "61.0"] in lines
    assert ["database", "(6", "processes)", "2", "2.0", "GiB"] in lines
    assert text.index("replay/tape") < text.index("backtest/team/sma"), "those at work first"


def shown(height: int | None, rows: int) -> list[str]:
    """The lines of a deck with so many resources, on a terminal of a height."""
    from rich.console import Console

    more = [ResourceRow("Backtest", "default", f"b{n:02}", "Complete") for n in range(rows)]
    bad = [
        ResourceRow("Feed", "default", "bad", "Failed", message="no such\nfile\x1b[2J"),
        ResourceRow("Feed", "default", "some", "Degraded", message="3 rows refused"),
    ]
    found = state()
    wanted = DeckState(
        found.at, [*more, *bad, *found.resources], found.recorder, found.gateway, found.processes, found.disk, {}
    )  # fmt: skip
    console = Console(width=140, record=True, file=io.StringIO(), force_terminal=False)
    console.print(view.render(wanted, height))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_rows_are_limited_to_the_height_of_the_terminal() -> None:
    lines = shown(30, 60)
    assert len(lines) <= 30
    assert any(line.startswith("market.bars") for line in lines), "the recorder's table is in sight"
    assert any(line.startswith("database (6 processes)") for line in lines)
    assert any(line.endswith(" more") for line in lines)
    names = [line.split()[0] for line in lines if line.startswith(("replay/", "feed/", "backtest/"))]
    assert names[:3] == ["replay/tape", "feed/bad", "feed/some"], "then those that need attention"
    assert len(shown(None, 60)) > 70 and not any(line.endswith(" more") for line in shown(None, 60))


def test_messages_of_failures_and_disk_by_part_are_shown() -> None:
    lines = shown(None, 1)
    assert "feed/bad: Failed: no such file\\x1b[2J" in lines
    assert "feed/some: Degraded: 3 rows refused" in lines
    assert ["kafka", "3.0", "GiB"] in [line.split() for line in lines]


@pytest.mark.parametrize(
    ("lines", "wanted", "found"),
    [(10, [3, 4], [3, 4]), (10, [50, 2, 50], [4, 2, 4]), (0, [1, 2], [0, 0]), (-5, [1], [0]), (9, [0, 20], [0, 9])],
)
def test_shares_of_lines(lines: int, wanted: list[int], found: list[int]) -> None:
    assert shares(lines, wanted) == found


def test_a_deck_that_was_started_again_has_new_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Home:
        pid = 1

        def running(self) -> Json:
            return {"pid": self.pid}

    monkeypatch.setattr(ProcessMeter, "look", lambda self, _: [ProcessUse("deck", self.daemon)])
    home: Any = Home()
    meter = DeckMeter(home, cast(Any, None))
    assert [use.pid for use in meter.look_at_processes({})] == [1]
    home.pid = 2
    assert [use.pid for use in meter.look_at_processes({})] == [2]


def test_json_has_no_infinity() -> None:
    document = json.loads(json.dumps(state().as_json(), allow_nan=False))
    assert document["resources"][1]["wanted_speed"] == "max"
    assert document["recorder"]["lag_seconds"] == {"market.bars": 61.0}
    assert document["disk"]["free_bytes"] == 2**40


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (500 * 2**20, "500 MiB"), (2**41, "2.0 TiB")]
)
def test_sizes(number: int, shown: str) -> None:
    assert view.size(number) == shown


def test_the_size_of_a_folder_counts_blocks(tmp_path: Path) -> None:
    (tmp_path / "kafka" / "data").mkdir(parents=True)
    (tmp_path / "kafka" / "data" / "segment").write_bytes(b"x" * 10_000)
    (tmp_path / "deck.json").write_bytes(b"{}")
    use = disk_use(tmp_path)
    assert 10_000 <= use.parts["kafka"] < 100_000
    assert use.used_bytes >= use.parts["kafka"]
    assert 0 < use.free_bytes <= use.total_bytes
