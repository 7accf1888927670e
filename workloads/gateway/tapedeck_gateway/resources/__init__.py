"""Feeds, Replays and Backtests, by Kubernetes' API: that of a cluster, or the part of it that a deck serves."""
