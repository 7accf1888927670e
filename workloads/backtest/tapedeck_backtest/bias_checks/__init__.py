"""Whether a backtest can be believed: checks that run the strategy again on parts of its bars."""
