"""The Feed workload: market data from an exchange or from files onto the log."""
