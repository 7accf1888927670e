"""The tables that COPY writes: their columns, and how a key conflict is resolved."""

from __future__ import annotations

from dataclasses import dataclass

COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
COPY_TRAILER = b"\xff\xff"


@dataclass(frozen=True)
class TargetTable:
    """``on_conflict`` is the SQL that follows ON CONFLICT."""

    name: str
    columns: tuple[str, ...]
    on_conflict: str = "DO NOTHING"


BARS = TargetTable(
    "bars",
    ("exchange", "symbol", "interval", "ts", "open", "high", "low", "close", "volume", "rev", "source"),
    # The highest revision wins; at equal revisions live beats other sources; otherwise the stored row stays.
    "(exchange, symbol, interval, ts) DO UPDATE SET open = EXCLUDED.open, high = EXCLUDED.high, low = EXCLUDED.low, "
    "close = EXCLUDED.close, volume = EXCLUDED.volume, rev = EXCLUDED.rev, source = EXCLUDED.source "
    "WHERE (EXCLUDED.rev, EXCLUDED.source = 'live') > (bars.rev, bars.source = 'live')",
)
TRADES = TargetTable("trades", ("exchange", "symbol", "ts", "id", "price", "amount", "side", "seq", "source"))
TICKERS = TargetTable(
    "tickers", ("exchange", "symbol", "ts", "price", "volume24h", "high24h", "low24h", "bid", "ask", "source")
)
POINTS = TargetTable(
    "points",
    (
        "exchange",
        "symbol",
        "interval",
        "series",
        "ts",
        "id",
        "value",
        "open",
        "high",
        "low",
        "volume",
        "rev",
        "seq",
        "source",
    ),
    "(exchange, symbol, interval, series, ts, id) DO UPDATE SET value = EXCLUDED.value, open = EXCLUDED.open, "
    "high = EXCLUDED.high, low = EXCLUDED.low, volume = EXCLUDED.volume, rev = EXCLUDED.rev, seq = EXCLUDED.seq, "
    "source = EXCLUDED.source WHERE EXCLUDED.rev > points.rev",
)
RUN_EQUITY = TargetTable(
    "run_equity", ("run_id", "seq", "ts", "value", "cash", "change_percent", "drawdown_percent", "sharpe")
)
RUN_FILLS = TargetTable("run_fills", ("run_id", "seq", "symbol", "ts", "side", "size", "price"))
RUN_TRIALS = TargetTable(
    "run_trials",
    (
        "run_id", "win", "trial", "params", "start_ts", "end_ts", "metrics", "objective", "feasible", "trades_hash",
        "message",
    ),
)  # fmt: skip
RUN_ORIGINS = TargetTable("run_origins", ("run_id", "origin"))
RUN_TRADES = TargetTable(
    "run_trades",
    (
        "run_id", "seq", "symbol", "side", "size", "entry_ts", "entry_price", "exit_ts", "exit_price", "pnl", "pnl_net",
        "commission", "entry_reason", "exit_reason",
    ),
)  # fmt: skip
