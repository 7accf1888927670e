"""The reconciler of the three resources over any API that stores them: the API server, or the deck's SQLite file."""
