"""Publishing a Feed's records to Kafka, and counting what the broker acknowledged."""
