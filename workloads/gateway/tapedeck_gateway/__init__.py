"""The gateway: charts, replays and backtest runs for browsers, over HTTP and WebSocket."""
