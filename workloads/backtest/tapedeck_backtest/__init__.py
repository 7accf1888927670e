"""Runs one Backtrader strategy over stored or replayed bars and puts its results on the log."""
