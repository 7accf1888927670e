"""The tables that rows are copied into: their columns, and how a conflict ends."""

from __future__ import annotations

from dataclasses import dataclass

COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
COPY_TRAILER = b"\xff\xff"


@dataclass(frozen=True)
class Table:
    """``merge`` is what follows ON CONFLICT."""

    name: str
    columns: tuple[str, ...]
    merge: str = "DO NOTHING"


BARS = Table(
    "bars",
    ("exchange", "symbol", "interval", "ts", "open", "high", "low", "close", "volume", "rev", "source"),
    # The highest revision; at equal ones live beats the rest; else what is there stays.
    "(exchange, symbol, interval, ts) DO UPDATE SET open = EXCLUDED.open, high = EXCLUDED.high, low = EXCLUDED.low, "
    "close = EXCLUDED.close, volume = EXCLUDED.volume, rev = EXCLUDED.rev, source = EXCLUDED.source "
    "WHERE (EXCLUDED.rev, EXCLUDED.source = 'live') > (bars.rev, bars.source = 'live')",
)
TRADES = Table("trades", ("exchange", "symbol", "ts", "id", "price", "amount", "side", "source"))
TICKERS = Table(
    "tickers", ("exchange", "symbol", "ts", "price", "volume24h", "high24h", "low24h", "bid", "ask", "source")
)
POINTS = Table(
    "points",
    ("exchange", "symbol", "interval", "series", "ts", "id", "value", "open", "high", "low", "volume", "rev", "source"),
    "(exchange, symbol, interval, series, ts, id) DO UPDATE SET value = EXCLUDED.value, open = EXCLUDED.open, "
    "high = EXCLUDED.high, low = EXCLUDED.low, volume = EXCLUDED.volume, rev = EXCLUDED.rev, source = EXCLUDED.source "
    "WHERE EXCLUDED.rev > points.rev",
)
RUN_EQUITY = Table(
    "run_equity", ("run_id", "seq", "ts", "value", "cash", "change_percent", "drawdown_percent", "sharpe")
)
RUN_FILLS = Table("run_fills", ("run_id", "seq", "symbol", "ts", "side", "size", "price"))
RUN_TRIALS = Table(
    "run_trials",
    (
        "run_id", "win", "trial", "params", "start_ts", "end_ts", "metrics", "objective", "feasible", "trades_hash",
        "message",
    ),
)  # fmt: skip
RUN_ORIGINS = Table("run_origins", ("run_id", "origin"))
RUN_TRADES = Table(
    "run_trades",
    (
        "run_id", "seq", "symbol", "side", "size", "entry_ts", "entry_price", "exit_ts", "exit_price", "pnl", "pnl_net",
        "commission", "entry_reason", "exit_reason",
    ),
)  # fmt: skip
