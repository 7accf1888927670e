"""Trials of a sweep over bars that are loaded once, and the account of a walk-forward."""
