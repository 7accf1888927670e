"""A Feed from files: recorded bars or trades onto the log, in order and without repeats."""
