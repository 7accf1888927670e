"""A real API server, and the operator beside it."""
