"""Each workload as a real process, as a pod runs it."""
