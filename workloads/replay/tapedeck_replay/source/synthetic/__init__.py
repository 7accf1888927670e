"""Synthetic markets, computed from a seed."""
