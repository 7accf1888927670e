"""Many trials of one strategy: which to make, how to search, what is best. Each trial once, whatever dies."""
