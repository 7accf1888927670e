"""`tapedeck top` on a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tapedeck_crds.text import printable
from tapedeck_deck.cli.top.layout import limited, shares
from tapedeck_deck.cli.top.state import DeckState, ResourceRow

_COLOURS = {
    "Running": "green", "Complete": "green", "Paused": "yellow", "Pending": "yellow", "Degraded": "yellow",
    "Suspended": "yellow", "Failed": "red",
}  # fmt: skip
AT_WORK = ("Running", "Paused", "Pending")
ATTENTION = ("Failed", "Degraded")
OTHER_FILES = "other files"
HEAD_LINES = 2
FRAME_LINES = 9  # four headers, a caption, and what is empty between the tables
LATE_SECONDS = 1.0
LAG_SECONDS = 10.0
FULL_RATIO = 0.9
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def render(state: DeckState, height: int | None = None) -> RenderableType:
    """All tables; on a terminal of this height as many rows of each as fit, with the number of the others."""
    problems = [_line(f"problem: {part}: {text}") for part, text in state.problems.items()]
    failed = failures(state.resources)
    sizes = (
        len(state.resources),
        len(failed),
        len(state.recorder.lag_records),
        len(state.processes),
        _disk_rows(state),
    )
    limits: Sequence[int | None] = [None] * len(sizes)
    if height is not None:
        limits = shares(height - HEAD_LINES - len(problems) - FRAME_LINES, sizes)
    resources, messages, topics, processes, disk = limits
    return Group(
        _head(state), *problems, Text(), resources_table(state.resources, resources), *_limited_lines(failed, messages),
        Text(), _recorder(state, topics), Text(), _processes(state, processes), Text(), _disk(state, disk),
    )  # fmt: skip


def failures(rows: Sequence[ResourceRow]) -> list[str]:
    """What went wrong with the resources that need attention, a line for each."""
    return [
        f"{_name(row)}: {row.phase}: {row.message}" for row in _sorted(rows) if row.phase in ATTENTION and row.message
    ]


def _limited_lines(lines: Sequence[str], limit: int | None) -> list[Text]:
    shown, more = limited(lines, limit)
    return [_line(each) for each in shown] + ([Text(f"{more}: `tapedeck status` lists them", "dim")] if more else [])


def _line(text: str) -> Text:
    """A problem on one line, cut at the width of the terminal."""
    return Text(printable(" ".join(text.split())), style="red", no_wrap=True, overflow="ellipsis")


def _head(state: DeckState) -> Text:
    disk, gateway = state.disk, state.gateway
    used = 1 - disk.free_bytes / disk.total_bytes if disk.total_bytes else 0.0
    memory = sum(each.memory_bytes for each in state.processes)
    cpu = sum(each.cpu_ratio or 0.0 for each in state.processes)
    text = Text(f"{datetime.fromtimestamp(state.at, UTC):%H:%M:%S} UTC   cpu {cpu:.2f}   memory {size(memory)}   ")
    text.append(f"disk {size(disk.used_bytes)}, {size(disk.free_bytes)} free", "red" if used > FULL_RATIO else "")
    text.append(
        f"\npage  {count(gateway.sockets)} sockets   {count(gateway.messages_per_second)} messages/s   "
        f"{count(gateway.requests_per_second)} requests/s   push p99 {seconds(gateway.fanout_seconds)}"
    )
    return text


def resources_table(rows: Sequence[ResourceRow], limit: int | None = None) -> Table:
    """A line for each resource: those at work first, then those that need attention."""
    table = _table("resource", "phase", "progress", "per s>", "speed>", "late p99>", "position")
    shown, more = limited(_sorted(rows), limit)
    for row in shown:
        late = Text(seconds(row.late_seconds), "red" if (row.late_seconds or 0.0) > LATE_SECONDS else "")
        table.add_row(
            _name(row), Text(row.phase, _COLOURS.get(row.phase, "")), row.progress,
            count(row.per_second), speed(row.speed, row.wanted_speed), late, printable(row.position),
        )  # fmt: skip
    _say_more(table, more)
    return table


def _sorted(rows: Sequence[ResourceRow]) -> list[ResourceRow]:
    return sorted(rows, key=lambda row: (_rank(row), row.kind, row.name))


def _rank(row: ResourceRow) -> int:
    return 0 if row.phase in AT_WORK else 1 if row.phase in ATTENTION else 2


def _name(row: ResourceRow) -> str:
    namespace = "" if row.namespace == "default" else f"{row.namespace}/"
    return f"{row.kind.lower()}/{namespace}{row.name}"


def _recorder(state: DeckState, limit: int | None) -> Table:
    recorder = state.recorder
    table = _table("recorder", "records behind>", "seconds behind>")
    # Where not all topics fit, those that are behind are shown.
    topics = sorted(recorder.lag_records, key=lambda topic: (-recorder.lag_seconds.get(topic, 0.0), topic))
    shown, more = limited(topics, limit)
    for topic in sorted(shown):
        behind = recorder.lag_seconds.get(topic, 0.0)
        style = "red" if behind > LAG_SECONDS else ""
        table.add_row(printable(topic), count(recorder.lag_records[topic]), Text(f"{behind:.1f}", style))
    _say_more(table, more)
    table.caption = f"{count(recorder.rows_per_second)} rows/s written"
    table.caption_justify = "left"
    return table


def _processes(state: DeckState, limit: int | None) -> Table:
    table = _table("process", "pid>", "cpu>", "memory>")
    shown, more = limited(state.processes, limit)
    for use in shown:
        name = use.name if use.processes < 2 else f"{use.name} ({use.processes} processes)"
        cpu = "" if use.cpu_ratio is None else f"{use.cpu_ratio:.2f}"
        table.add_row(printable(name), str(use.pid), cpu, size(use.memory_bytes))
    _say_more(table, more)
    return table


def _disk_rows(state: DeckState) -> int:
    return len(_disk_parts(state))


def _disk_parts(state: DeckState) -> list[tuple[str, int]]:
    """The folders of the deck that take space, and its other files; the largest first."""
    disk = state.disk
    parts = {**disk.parts, OTHER_FILES: disk.used_bytes - sum(disk.parts.values())}
    return sorted(((name, taken) for name, taken in parts.items() if taken > 0), key=lambda part: (-part[1], part[0]))


def _disk(state: DeckState, limit: int | None) -> Table:
    table = _table("disk", "size>")
    shown, more = limited(_disk_parts(state), limit)
    for name, taken in shown:
        table.add_row(printable(name), size(taken))
    _say_more(table, more)
    return table


def _say_more(table: Table, more: str) -> None:
    if more:
        table.add_row(Text(more, "dim"))


def _table(*columns: str) -> Table:
    """A table without a frame; ``>`` aligns a column to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name.rstrip(">").upper(), justify="right" if name.endswith(">") else "left", no_wrap=True)
    return table


def count(number: float | None) -> str:
    """A number in as many digits as one reads at a glance."""
    if number is None:
        return ""
    return f"{number:,.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"


def seconds(number: float | None) -> str:
    """A duration."""
    if number is None:
        return ""
    if math.isinf(number):
        return "> 1 h"
    return f"{number * 1000:.3g} ms" if number < 1 else f"{number:.3g} s"


def speed(measured: float | None, wanted: float | None) -> str:
    """The measured speed, and the wanted one beside it."""
    if wanted is None:
        return ""
    asked = "max" if math.isinf(wanted) else f"{wanted:g}x"
    return asked if measured is None else f"{measured:,.4g} of {asked}"


def size(number: float) -> str:
    """Bytes in the unit that leaves one to four digits."""
    unit = 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.0f} {_UNITS[unit]}" if unit == 0 or number >= 100 else f"{number:.1f} {_UNITS[unit]}"
