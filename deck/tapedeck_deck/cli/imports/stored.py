"""Waits until the recorder has stored the rows of an import."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tapedeck_crds.json import Json
from tapedeck_deck.cli.context import NOT_RUNNING
from tapedeck_deck.cli.store_query import rows_of
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.state_dir import StateDir

POLL_SECONDS = 0.3
STALL_SECONDS = 120.0
"""Without another row in the store."""
_COUNT = """
SELECT (SELECT count(*) FROM bars WHERE exchange = %(exchange)s AND symbol = ANY(%(symbols)s)
        AND interval = %(interval)s AND ts BETWEEN to_timestamp(%(first)s) AND to_timestamp(%(last)s)),
       (SELECT count(*) FROM trades WHERE exchange = %(exchange)s AND symbol = ANY(%(symbols)s)
        AND ts BETWEEN to_timestamp(%(first)s) AND to_timestamp(%(last)s))
"""


def wait_stored(home: StateDir, feed: Json, status: Json, symbols: Sequence[str], span: tuple[int, int]) -> None:
    """Wait until the store has as many rows of the Feed's symbols as it has published. Raises DeckError.

    ``span`` is the first and the last time of its rows, milliseconds UTC.
    """
    facts = home.running()
    if facts is None:
        raise DeckError(NOT_RUNNING)
    files = feed["spec"]["source"]["files"]
    parameters = {
        "exchange": files["exchange"],
        "symbols": list(symbols),
        "interval": files["interval"],
        "first": span[0] // 1_000 - 31 * 86_400,  # the open of a bar that a trade makes is before the trade
        "last": span[1] // 1_000 + 1,
    }
    wanted = (int(status.get("bars") or 0), int(status.get("trades") or 0))
    seen, since = (-1, -1), time.monotonic()
    while True:
        bars, trades = rows_of(facts["dsn"], _COUNT, parameters)[0]
        if bars >= wanted[0] and trades >= wanted[1]:
            return
        if (bars, trades) != seen:
            seen, since = (bars, trades), time.monotonic()
        elif time.monotonic() - since > STALL_SECONDS:
            raise DeckError(
                f"the store has {bars} of {wanted[0]} bars and {trades} of {wanted[1]} trades, and no more for "
                f"{STALL_SECONDS:.0f} s; `tapedeck status` shows the recorder, `tapedeck errors` what it refused"
            )
        time.sleep(POLL_SECONDS)
