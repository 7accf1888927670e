"""A backfill: past bars of an exchange by REST, from the newest to the oldest."""
