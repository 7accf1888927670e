"""Programs that keep an installation in order: each runs once and ends."""
