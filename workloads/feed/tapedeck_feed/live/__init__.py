"""A live Feed: what an exchange says now, onto the log, with the holes filled."""
