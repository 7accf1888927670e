"""Tapedeck on one machine: the embedded deck, its command line and the demo."""

PACKAGE = "tapedeck[deck]"
"""What pip installs for a deck; `tapedeck` alone has what every pod needs."""
