"""Series computed from a market's records as they come: a pod beside a Feed or a Replay, from log to log."""
