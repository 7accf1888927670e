"""What files hold, how they are read, and the Feeds that import them; for `tapedeck import` and for uploads."""
