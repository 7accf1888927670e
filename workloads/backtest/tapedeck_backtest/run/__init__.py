"""A run while it executes: its progress, the publication of its results, and the engine that plays its bars."""
