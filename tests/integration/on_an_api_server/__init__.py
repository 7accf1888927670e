"""Tests that share an API server, which stops after the last of them."""
