"""`tapedeck top`: what the deck does now, read from its resources, the metrics of its pods, and its processes."""
