"""Exchange adapters: one interface, implemented for every exchange of ccxt and for CryptoCompare."""
