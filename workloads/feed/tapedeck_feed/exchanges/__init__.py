"""Exchanges behind one adapter interface: ccxt's, and CryptoCompare."""
