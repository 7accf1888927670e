"""Other stores that take the same stream. Each has a thread and a position on the log of its own: one that is away
holds up neither the store nor the others, and gets what it missed when it is back."""
