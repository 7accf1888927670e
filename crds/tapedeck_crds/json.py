"""The one type of a JSON object that has not been parsed into a type of its own, such as a manifest."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
