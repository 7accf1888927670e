"""CryptoCompare's websocket and REST history behind the adapter interface."""
