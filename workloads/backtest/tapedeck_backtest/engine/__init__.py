"""Backtrader's engine without the work that cannot change a result. README.md in this folder states its invariants."""
