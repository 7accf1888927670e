"""Why files cannot be used."""

from __future__ import annotations

from tapedeck_crds.errors import InvalidInput, Unavailable


class InvalidFiles(InvalidInput):
    """The files as a whole cannot be used. The message names the file or pattern and what was expected."""

    reason = "BadFiles"


class FilesUnavailable(Unavailable):
    """The store behind a URL does not answer."""
