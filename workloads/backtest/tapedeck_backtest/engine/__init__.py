"""The way that any strategy takes: Backtrader's engine and broker, made faster by subclasses."""
