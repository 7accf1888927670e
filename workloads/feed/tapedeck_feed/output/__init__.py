"""A Feed's records on their topics, and counts of what the broker acknowledged."""
