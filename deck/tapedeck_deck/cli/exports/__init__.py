"""`tapedeck export`: rows of the store as files that other programs read; a module for each format."""
