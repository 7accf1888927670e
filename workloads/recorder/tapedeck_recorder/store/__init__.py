"""Writing batches to the database: transactions, offsets, the writer threads."""
