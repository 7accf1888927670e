"""A Feed from files: recorded bars or trades, sorted and without repeats."""
