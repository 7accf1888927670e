"""Reading the log: the consumer group and the ids of topics."""
