"""Third-party stores as real servers on the loopback, downloaded once and kept."""
