"""CryptoCompare's websocket and history, behind the adapter interface."""
