"""Readers of bars: the store, a Replay's topic, and the live market's topic."""
