"""The client for notebooks: ``import tapedeck``.

It reaches a deck by the gateway's HTTP and WebSocket interfaces alone, so that it installs without a broker, a database
or an engine. ``VERSION`` is the version of this package.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["VERSION"]

try:
    VERSION = version("tapedeck")
except PackageNotFoundError:  # the code runs from a folder, not from an installed package
    VERSION = "0+unknown"
