"""``make soak``: a replay that runs for an hour, and one that publishes fifty million bars.

``drift``: ten synthetic markets of one-second bars at 60×, 600 bars a second. The lateness of a bar is taken from its
record's timestamp, and its median from each twelfth of the run; the median of the last three may differ from that of
the second to fourth by DRIFT_MS at most. ``memory``: unpaced; the resident memory of the pod, sampled every second, may
grow by the factor GROWTH at most from the second fifth of the run to the last.

TAPEDECK_SOAK_SECONDS and TAPEDECK_SOAK_BARS make them shorter.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import psutil
from confluent_kafka import Consumer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pods.replay import ReplayProcess
from tapedeck_common.kafka import consumer
from tapedeck_common.settings import Connections
from tapedeck_crds.json import Json
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.ports import free_port

SECONDS = int(os.environ.get("TAPEDECK_SOAK_SECONDS", "3600"))
BARS = int(os.environ.get("TAPEDECK_SOAK_BARS", "50000000"))
SYMBOLS = [f"S{i}/USD" for i in range(10)]
START = 1_704_067_200_000  # 2024-01-01T00:00:00Z, the default start of a synthetic market
STEP, SPEED = 1_000, 60
BLOCKS = 12
DRIFT_MS, GROWTH = 5.0, 1.1
_decode = msgspec.json.Decoder(type=dict[str, object]).decode


def main() -> int:
    """Run both; exits 1 if one shows drift or growth."""
    with tempfile.TemporaryDirectory(prefix="tapedeck-soak-") as name, _broker(Path(name)) as connections:
        passed = [_drift(Path(name), connections), _memory(Path(name), connections)]
    return 0 if all(passed) else 1


@contextmanager
def _broker(folder: Path) -> Iterator[Connections]:
    broker = KafkaBroker(folder / "kafka", free_port())
    try:
        broker.launch()
        broker.wait_ready()
        yield Connections(kafka_bootstrap=broker.bootstrap)
    finally:
        broker.stop()


def _replay(folder: Path, connections: Connections, bars: int) -> ReplayProcess:
    symbols = [{"symbol": symbol, "volatility": 0.6} for symbol in SYMBOLS]
    source: Json = {"synthetic": {"symbols": symbols, "interval": "1s", "bars": bars, "seed": 7}}
    return ReplayProcess(folder / "pods", connections, {"source": source})


def _drift(folder: Path, connections: Connections) -> bool:
    replay = _replay(folder, connections, SECONDS * SPEED)
    anchor = replay.begin(v0=START, speed=float(SPEED), lead_ms=500)
    late: list[list[float]] = [[] for _ in range(BLOCKS)]
    total = SECONDS * SPEED * len(SYMBOLS)
    reader = consumer(connections, "soak", "soak")
    reader.subscribe([replay.topic])
    with _progress("drift", total) as advance:
        seen = 0
        while seen < total:
            seen += _read(reader, anchor, late)
            advance(seen)
    reader.close()
    if replay.wait(60) != 0:
        raise RuntimeError(f"the replay failed: {replay.last_report()}")
    medians = [statistics.median(block) for block in late]
    worst = [sorted(block)[len(block) * 99 // 100] for block in late]
    moved = statistics.median(medians[-3:]) - statistics.median(medians[1:4])
    print(f"drift: {moved:+.2f} ms in {SECONDS} s (at most {DRIFT_MS}); bars {total}")
    print("  median by block, ms:", *(f"{value:.1f}" for value in medians))
    print("  p99 by block, ms:   ", *(f"{value:.1f}" for value in worst), flush=True)
    return abs(moved) <= DRIFT_MS


def _read(reader: Consumer, anchor: Json, late: list[list[float]]) -> int:
    """Read bars and file their lateness by the part of the run they belong to; returns the number of bars."""
    messages = reader.consume(10_000, 5.0)
    if not messages:
        raise TimeoutError("no bar for 5 s")
    found = 0
    for message in messages:
        bar = _decode(message.value() or b"{}")
        if "open" not in bar:
            continue
        found += 1
        publish_at = anchor["w0"] + (int(str(bar["ts"])) + STEP - START) / SPEED
        block = min(int((publish_at - anchor["w0"]) / (SECONDS * 1000) * BLOCKS), BLOCKS - 1)
        late[block].append(message.timestamp()[1] - publish_at)
    return found


def _memory(folder: Path, connections: Connections) -> bool:
    replay = _replay(folder, connections, BARS // len(SYMBOLS))
    replay.begin(v0=START, unpaced=True)
    assert replay.process is not None
    process = psutil.Process(replay.process.pid)
    sizes: list[tuple[int, int]] = []
    began = time.monotonic()
    with _progress("memory", BARS) as advance:
        while replay.process.poll() is None:
            try:
                sizes.append((int(replay.status()["published"]), process.memory_info().rss))
            except (httpx.HTTPError, psutil.NoSuchProcess):
                replay.wait(30)  # the server ends shortly before the process
                break
            advance(sizes[-1][0])
            time.sleep(1.0)
    report = replay.last_report()
    if replay.wait(5) != 0 or report["published"] != BARS:
        raise RuntimeError(f"the replay failed: {report}")
    seconds = time.monotonic() - began
    early = [rss for published, rss in sizes if BARS / 5 <= published < BARS * 2 / 5]
    last = [rss for published, rss in sizes if published >= BARS * 4 / 5]
    grown = max(last) / max(early)
    sizes_text = f"{max(early) / 2**20:.0f} MB early, {max(last) / 2**20:.0f} MB at the end"
    print(f"memory: {sizes_text}, ratio {grown:.3f} (at most {GROWTH}); {BARS} bars in {seconds:.0f} s", flush=True)
    return grown <= GROWTH


@contextmanager
def _progress(name: str, total: int) -> Iterator[Callable[[int], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f}%"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=not sys.stdout.isatty()) as progress:
        task = progress.add_task(name, total=total)

        def advance(done: int) -> None:
            progress.update(task, completed=done)

        yield advance


if __name__ == "__main__":
    sys.exit(main())
