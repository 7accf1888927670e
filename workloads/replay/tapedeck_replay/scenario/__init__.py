"""Changed conditions: what is done to the market that is played, and to the way it is published."""
