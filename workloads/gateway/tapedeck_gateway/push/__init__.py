"""Pushing changes to WebSocket clients."""
