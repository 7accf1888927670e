"""The recorder: reads the log and writes the store. Nothing else writes market data or results."""
