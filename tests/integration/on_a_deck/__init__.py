"""Tests that share a deck, which stops after the last of them: an idle deck uses processor time, too."""
