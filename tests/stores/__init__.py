"""Other stores than Tapedeck's own, as real servers on the loopback, fetched once and kept."""
