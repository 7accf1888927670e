"""What a chart shows: symbols, resolutions, and bars in memory."""
