"""The Feed: recorded market data onto the log."""
