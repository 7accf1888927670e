"""The error of the deck and its command line that a user can correct."""

from __future__ import annotations

from tapedeck_crds.errors import TapedeckError


class DeckError(TapedeckError):
    """A message for the user: what happened, and what to do next."""
