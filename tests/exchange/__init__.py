"""A local exchange: it plays recorded trades in the exchanges' own protocols, with faults on command."""

from exchange.market import Market, Tick, recent_market, recorded, sped_up
from exchange.server import Exchange

__all__ = ["Exchange", "Market", "Tick", "recent_market", "recorded", "sped_up"]
