"""Transactional output: records, position and watermark in one Kafka transaction."""
