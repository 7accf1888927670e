"""The results of a run: fills and trades, the equity curve, metrics, periods, and the run's origin."""
