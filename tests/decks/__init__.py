"""The embedded deck as a process, and what ran on it."""
