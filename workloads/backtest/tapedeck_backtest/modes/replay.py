"""A run over a Replay's stream, bar by bar as it is played."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import msgspec

from tapedeck_backtest.bars.arrays import TimeStep
from tapedeck_backtest.bars.coarse import Limits
from tapedeck_backtest.bars.resample import check_intervals
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.protocol.messages import Outcome
from tapedeck_backtest.report.origin import origin_of_replay
from tapedeck_backtest.run.context import RunContext
from tapedeck_backtest.run.stream import run_stream
from tapedeck_backtest.sources.replay_stream import ReplayStream
from tapedeck_common import wire
from tapedeck_crds.backtest import ReplayRef
from tapedeck_crds.base import time_ms


def run(context: RunContext, reference: ReplayRef, start_timeout: float) -> Outcome:
    """Run the strategy over the stream until it ends. ``start_timeout`` is in seconds.

    Raises RunFailed, StrategyKilled, Interrupted, Unavailable and psycopg.Error.
    """
    settings, progress = context.settings, context.progress
    if not settings.replay_uid:
        raise RunFailed("NoStart", "TAPEDECK_REPLAY_UID: missing, expected the uid of the Replay")
    progress.state = "waiting"
    follow = reference.on_seek == "restart"
    stream = ReplayStream(
        context.connections,
        settings.replay_uid,
        context.process.idle,
        start_timeout,
        follow=follow,
        selected=reference.symbols,
    )
    try:
        start = stream.open()
        symbols = _selected_symbols(reference, start.symbols)
        check_intervals(start.interval, context.spec.data.intervals)
        progress.total = sum(start.rows[symbol] for symbol in symbols)
        sessions = context.find_sessions(start.exchange, symbols)
        while True:
            context.publish_started(start.exchange, symbols, start.interval)
            blocks = _blocks_after_origin(context, stream, start, symbols)
            limits = partial(_limits, stream, start)
            outcome = run_stream(context, blocks, start.exchange, symbols, start.interval, sessions, limits)
            if (epoch := stream.next_epoch()) is None:
                break
            context.restart(epoch, outcome)
    finally:
        stream.close()
    if outcome.empty_feeds:
        context.outcome = outcome
        raise RunFailed("NoBars", f"data.replay: the Replay played no bars of {', '.join(outcome.empty_feeds)}")
    return outcome


def _limits(stream: ReplayStream, start: wire.ReplayStart) -> Limits:
    """From the begin of the epoch, or of the Replay's range, to the end of its range."""
    source = msgspec.json.decode(start.spec).get("source") or {}
    range_: dict[str, str] = next((source[kind] for kind in ("store", "topic", "synthetic") if source.get(kind)), {})
    begins, ends = (time_ms(range_[name]) if name in range_ else None for name in ("from", "to"))
    return Limits(begins if stream.begin is None else stream.begin, ends)


def _blocks_after_origin(
    context: RunContext, stream: ReplayStream, start: wire.ReplayStart, symbols: list[str]
) -> Iterator[Sequence[TimeStep]]:
    """The bars of an epoch. The run's origin is published before the first, when the epoch's begin is known."""
    blocks = stream.blocks(symbols)
    first = next(blocks, None)
    context.publisher.publish(origin_of_replay(context.settings, start, context.progress.run_id, stream.begin))
    if first is not None:
        yield first
        yield from blocks


def _selected_symbols(reference: ReplayRef, available: list[str]) -> list[str]:
    selected = reference.symbols
    if not selected:
        return sorted(available)
    unknown = [symbol for symbol in selected if symbol not in available]
    if unknown:
        raise RunFailed(
            "NoBars",
            f"data.replay.symbols: got {', '.join(unknown)}, expected symbols of the Replay: {', '.join(available)}",
        )
    return list(dict.fromkeys(selected))
