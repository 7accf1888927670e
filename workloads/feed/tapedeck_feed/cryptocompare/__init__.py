"""CryptoCompare: its websocket and its history, behind the interface that all exchanges share."""
