"""Records from local files and object storage."""
