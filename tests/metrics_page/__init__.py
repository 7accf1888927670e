"""The page docs/reference/metrics.md: every metric of every pod, read from the registries of the code."""
