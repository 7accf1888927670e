"""Records from a Kafka topic."""
