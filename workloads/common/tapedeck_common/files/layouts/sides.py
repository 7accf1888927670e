"""What files write for the side of a trade's taker, in lower case."""

from __future__ import annotations

from tapedeck_common.market import Side

SIDES: dict[str, Side] = {
    **dict.fromkeys(("buy", "b", "buyer", "1"), "buy"),
    **dict.fromkeys(("sell", "s", "seller", "-1"), "sell"),
}
MAKER: dict[str, Side] = {"true": "sell", "1": "sell", "t": "sell", "false": "buy", "0": "buy", "f": "buy"}
"""Whether the buyer was the maker."""
