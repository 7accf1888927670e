"""A Replay's stream, bar by bar as it plays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tapedeck_backtest.bars.resample import check_intervals
from tapedeck_backtest.engine.cerebro import Step
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.report.origin import origin_of_replay
from tapedeck_backtest.run.session import Session
from tapedeck_backtest.sources.replay_stream import ReplayStream
from tapedeck_common import wire
from tapedeck_crds.backtest import ReplayRef


def run(
    session: Session, strategy: type[Any], params: dict[str, Any], reference: ReplayRef, start_timeout: float
) -> None:
    """Play the stream to its end. Raises RunFailed, Interrupted, Unavailable and psycopg.Error."""
    settings = session.settings
    if not settings.replay_uid:
        raise RunFailed("NoStart", "TAPEDECK_REPLAY_UID: got nothing, expected the uid of the Replay to follow")
    session.state = "waiting"
    stream = ReplayStream(
        session.connections, settings.replay_uid, session.idle, start_timeout, follow=reference.on_seek == "restart"
    )
    try:
        start = stream.open()
        symbols = _chosen(reference, start.symbols)
        check_intervals(start.interval, session.spec.data.intervals)
        session.total = sum(start.rows[symbol] for symbol in symbols)
        while True:
            session.announce(start.exchange, symbols, start.interval)
            steps = _noted(session, stream, start, symbols)
            session.play_stream(strategy, params, steps, start.exchange, symbols, start.interval)
            if (epoch := stream.go_on()) is None:
                break
            session.begin_again(epoch)
    finally:
        stream.close()
    feeds = session.engine.datas if session.engine is not None else []
    if missing := [data._name for data in feeds if not len(data)]:
        raise RunFailed("NoBars", f"data.replay: no bars of {', '.join(missing)} came from the Replay")


def _noted(session: Session, stream: ReplayStream, start: wire.Start, symbols: list[str]) -> Iterator[Step]:
    """The steps of an epoch; what the run is made of goes before the first, when it is known where that began."""
    steps = stream.steps(symbols)
    first = next(steps, None)
    session.send(origin_of_replay(session.settings, start, session.run_id, stream.begin))
    if first is not None:
        yield first
        yield from steps


def _chosen(reference: ReplayRef, there: list[str]) -> list[str]:
    wanted = reference.symbols
    if not wanted:
        return sorted(there)
    unknown = [symbol for symbol in wanted if symbol not in there]
    if unknown:
        raise RunFailed(
            "NoBars", f"data.replay.symbols: the Replay has no {', '.join(unknown)}; it has {', '.join(there)}"
        )
    return list(dict.fromkeys(wanted))
