"""Tables of files: text with delimiters, JSON, Parquet and Arrow, all as batches of columns."""
