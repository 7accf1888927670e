"""The pod's side of the strategy's process: starting and ending it, limits from outside, and what it may send."""
