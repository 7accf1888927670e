"""Isolation of the strategy's code: supervision, time, memory and output limits, hidden files, and its tracebacks."""
