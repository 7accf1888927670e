"""Tapedeck on one machine: the embedded deck, its command line and the demo."""
