"""Why files cannot be used."""

from __future__ import annotations

from tapedeck_crds.errors import InvalidInput, Unavailable


class InvalidFiles(InvalidInput):
    """The files as a whole cannot be used. The message names the file or pattern and what was expected."""

    reason = "BadFiles"
    is_data = True
    """Whether the file holds, or should hold, market data."""


class NotMarketData(InvalidFiles):
    """A file holds something else than a table of market data."""

    is_data = False


class FilesUnavailable(Unavailable):
    """The store behind a URL does not answer."""


class CannotSort(Unavailable):
    """The temporary disk has no room for the rows to sort."""

    reason = "CannotSort"
