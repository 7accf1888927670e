"""Reading Kafka topics for charts: replays and live bars of the market."""
