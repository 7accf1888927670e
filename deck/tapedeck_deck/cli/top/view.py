"""`tapedeck top` on a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tapedeck_crds.text import printable
from tapedeck_deck.cli.top.state import DeckState, ResourceRow

_COLOURS = {
    "Running": "green", "Complete": "green", "Paused": "yellow", "Pending": "yellow", "Degraded": "yellow",
    "Suspended": "yellow", "Failed": "red",
}  # fmt: skip
LATE_SECONDS = 1.0
LAG_SECONDS = 10.0
FULL_RATIO = 0.9
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def render(state: DeckState) -> RenderableType:
    """All tables."""
    problems = [Text(f"problem: {part}: {printable(text)}", style="red") for part, text in state.problems.items()]
    return Group(
        _head(state), *problems, Text(), resources_table(state.resources), Text(), _recorder(state), Text(),
        _processes(state),
    )  # fmt: skip


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


def resources_table(rows: Sequence[ResourceRow]) -> Table:
    """A line for each resource; those at work first."""
    table = _table("resource", "phase", "progress", "per s>", "speed>", "late p99>", "position")
    for row in sorted(rows, key=lambda row: (row.phase not in ("Running", "Paused", "Pending"), row.kind, row.name)):
        late = Text(seconds(row.late_seconds), "red" if (row.late_seconds or 0.0) > LATE_SECONDS else "")
        namespace = "" if row.namespace == "default" else f"{row.namespace}/"
        table.add_row(
            f"{row.kind.lower()}/{namespace}{row.name}", Text(row.phase, _COLOURS.get(row.phase, "")), row.progress,
            count(row.per_second), speed(row.speed, row.wanted_speed), late, printable(row.position),
        )  # fmt: skip
    return table


def _recorder(state: DeckState) -> Table:
    recorder = state.recorder
    table = _table("recorder", "records behind>", "seconds behind>")
    for topic in sorted(recorder.lag_records):
        behind = recorder.lag_seconds.get(topic, 0.0)
        style = "red" if behind > LAG_SECONDS else ""
        table.add_row(topic, count(recorder.lag_records[topic]), Text(f"{behind:.1f}", style))
    table.caption = f"{count(recorder.rows_per_second)} rows/s written"
    table.caption_justify = "left"
    return table


def _processes(state: DeckState) -> Table:
    table = _table("process", "pid>", "cpu>", "memory>")
    for use in state.processes:
        name = use.name if use.processes < 2 else f"{use.name} ({use.processes} processes)"
        cpu = "" if use.cpu_ratio is None else f"{use.cpu_ratio:.2f}"
        table.add_row(name, str(use.pid), cpu, size(use.memory_bytes))
    return table


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
