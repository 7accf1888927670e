"""Records from TimescaleDB."""
