"""What a run comes to: trades, the curve, metrics by formula and period, and what they were made of."""
