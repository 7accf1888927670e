"""Layouts: which column of a table is what, how its times are written, and recognizing both."""
