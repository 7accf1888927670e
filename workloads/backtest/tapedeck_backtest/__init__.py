"""Runs one Backtrader strategy over stored, replayed or live bars and publishes its results."""
