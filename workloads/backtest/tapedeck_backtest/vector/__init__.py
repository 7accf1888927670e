"""Vectorised runs of the built-in strategies: whole arrays instead of bars, with bit-identical trades.

The engine runs everything else: several symbols or intervals, warm-up, fills at the close, observers and analyzers, and
users' strategies.
"""
