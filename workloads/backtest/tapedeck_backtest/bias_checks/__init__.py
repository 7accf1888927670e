"""Bias checks: whether a backtest's results can be trusted. Each reruns the strategy over parts of its bars."""
