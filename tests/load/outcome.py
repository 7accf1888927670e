"""What came of the load: figures, plots, and what did not hold."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from load.market import Sent
from load.observed import Observed, growth
from load.plots import Line, plot
from tapedeck_crds.json import Json

LAG_SECONDS = 10.0
GROWTH_BYTES = 16e6  # in three fifths of the time: a cache that is filled, not what grows with the records
QUIET_SECONDS = 10.0  # of a bar that comes each second
RATE_SHARE = 0.95  # of the wanted rate: the exchange shares the machine with the deck


@dataclass(frozen=True)
class Outcome:
    """``rate`` in trades a second for ``seconds``; what was sent and stored, by symbol; what the WebSockets heard."""

    rate: int
    seconds: int
    sent: dict[str, Sent]
    stored: dict[str, Sent]
    heard: Json
    observed: Observed

    def report(self, folder: Path) -> list[str]:
        """Write figures.json and the plots into a folder; what did not hold."""
        memory = self.observed.lines('process_resident_memory_bytes{job!="backtest"}', "job")
        lag = self.observed.lines("max by (topic) (tapedeck_recorder_lag_seconds)", "topic")
        cores = self.observed.lines("sum by (job) (rate(process_cpu_seconds_total[30s]))", "job")
        megabytes = {name: [(at, value / 1e6) for at, value in line] for name, line in memory.items()}
        plot(folder / "memory.svg", "Resident memory", "MB", megabytes)
        plot(folder / "lag.svg", "Age of the oldest record that is not stored", "s", lag)
        plot(folder / "cpu.svg", "Processor time", "cores", cores)
        figures = self._figures(memory, lag)
        text = json.dumps(figures, indent=2)
        (folder / "figures.json").write_text(f"{text}\n")
        print(text)
        return self._not_held(figures)

    def _figures(self, memory: dict[str, Line], lag: dict[str, Line]) -> Json:
        trades = sum(each.trades for each in self.sent.values())
        return {
            "seconds": self.seconds,
            "trades": trades,
            "lost": trades - sum(each.trades for each in self.stored.values()),
            "lag_seconds_max": max((value for line in lag.values() for _, value in line), default=0.0),
            "memory_growth_bytes": {name: growth(line) for name, line in memory.items()},
            "alerts": sorted(self.observed.alerts()),
            "sockets": self.heard,
        }

    def _not_held(self, figures: Json) -> list[str]:
        wanted = int(self.rate * self.seconds * RATE_SHARE)
        lag, alerts = figures["lag_seconds_max"], figures["alerts"]
        found = [
            f"trades of {symbol}: got {self.stored.get(symbol)} stored, expected {sent}"
            for symbol, sent in self.sent.items()
            if self.stored.get(symbol) != sent
        ]
        found += [
            f"memory of {name}: grew by {grown / 1e6:.0f} MB, expected at most {GROWTH_BYTES / 1e6:.0f} MB"
            for name, grown in figures["memory_growth_bytes"].items()
            if grown > GROWTH_BYTES
        ]
        if figures["trades"] < wanted:
            found.append(f"trades: got {figures['trades']} sent, expected {wanted} at least")
        if lag > LAG_SECONDS:
            found.append(f"lag of the recorder: got {lag:.1f} s, expected at most {LAG_SECONDS:g} s")
        if alerts:
            found.append(f"alerts: got {', '.join(alerts)}, expected none")
        if any(self.heard[name] for name in ("missing", "closed", "failed")):
            found.append(f"WebSockets: got {self.heard}, expected none that misses a message, closes or fails")
        if self.heard["oldest"] > QUIET_SECONDS:
            found.append(
                f"WebSockets: one got no bar for {self.heard['oldest']:.0f} s, expected {QUIET_SECONDS:g} s at most"
            )
        return found
