"""Queries of the database. Every function raises Unavailable where the database does not answer, or not in time."""
