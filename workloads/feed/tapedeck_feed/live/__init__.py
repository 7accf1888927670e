"""A live Feed: what an exchange says now, onto the log, with the holes filled."""

from tapedeck_feed.live.ccxt_imports import one_exchange_at_a_time

# Before any module of this package loads ccxt.
one_exchange_at_a_time()
