"""Where a replay's records come from: the store, files, a topic, or a synthetic market."""
