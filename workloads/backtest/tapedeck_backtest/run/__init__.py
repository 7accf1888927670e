"""A run in its pod: what it publishes, its progress, and the bars that it gives to the strategy's process."""
