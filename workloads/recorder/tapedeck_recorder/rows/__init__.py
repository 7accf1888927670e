"""Rows for COPY BINARY: tables, encoders, and the batch that one transaction writes."""
