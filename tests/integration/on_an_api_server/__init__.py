"""Tests that share an API server: it goes when the last of them is through."""
