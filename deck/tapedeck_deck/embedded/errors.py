"""What can go wrong with a deck in a way that its user can mend."""


class DeckError(Exception):
    """A message for people: what happened and what to do next."""
