"""The content of files: decompressed, unpacked, and bounded."""
