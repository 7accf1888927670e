"""Every exchange of ccxt.pro, behind the adapter interface."""

from tapedeck_feed.exchanges.ccxt.imports import one_exchange_at_a_time

# Before any module of this package loads ccxt.
one_exchange_at_a_time()
