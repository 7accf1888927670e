"""Every exchange of ccxt.pro behind the adapter interface."""

from tapedeck_feed.exchanges.ccxt.imports import install_lazy_imports

# Runs before any module of this package imports ccxt.
install_lazy_imports()
