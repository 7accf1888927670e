"""Transforms: series computed from a Feed's or a Replay's records, from log to log."""
