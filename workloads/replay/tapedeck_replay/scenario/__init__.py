"""Scenarios: changes of the market that is played, and of the way it is published."""
