"""The messages of the WebSocket /api/v1/ws: what clients send, what the gateway sends, and their documentation."""
