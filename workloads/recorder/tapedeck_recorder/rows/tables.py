"""The tables that COPY writes: their columns, and which of two rows with one key is kept."""

from __future__ import annotations

from dataclasses import dataclass

COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
COPY_TRAILER = b"\xff\xff"


@dataclass(frozen=True)
class TargetTable:
    """``wins`` is the SQL that says whether the row ``new`` replaces the stored row ``old`` of the same ``key``.

    Without it the stored row stays.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...] = ()
    wins: str = ""


BARS = TargetTable(
    "bars",
    ("exchange", "symbol", "interval", "ts", "open", "high", "low", "close", "volume", "rev", "source"),
    ("exchange", "symbol", "interval", "ts"),
    # The highest revision wins; at equal revisions live beats other sources; otherwise the stored row stays.
    "(new.rev, new.source = 'live') > (old.rev, old.source = 'live')",
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
    ("exchange", "symbol", "interval", "series", "ts", "id"),
    "new.rev > old.rev",
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
