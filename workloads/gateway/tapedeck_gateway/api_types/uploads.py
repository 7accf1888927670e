"""Uploads of files, and what they hold."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tapedeck_gateway.api_types.fields import Ms
from tapedeck_gateway.api_types.resources import ShownResource


class UploadLimits(msgspec.Struct, frozen=True, rename="camel"):
    """Whether this gateway takes files, and how large ones."""

    accepted: bool
    reason: Annotated[str, msgspec.Meta(description="Why not, and what to do; empty where they are accepted.")]
    file_bytes: Annotated[int, msgspec.Meta(description="Bytes of a file at most.")]
    part_bytes: Annotated[int, msgspec.Meta(description="Bytes of a request at most.")]
    kept_seconds: Annotated[
        int, msgspec.Meta(description="An upload that no Feed names is removed so long after its last change.")
    ]


class UploadedFile(msgspec.Struct, frozen=True):
    """A file, or its beginning, under the name that it has on the deck."""

    upload: str
    name: str
    size: int
    received: Annotated[int, msgspec.Meta(description="Bytes that are there: the offset of the next part.")]


class RejectedRows(msgspec.Struct, frozen=True):
    """Rows that are no market data, for one reason; ``line`` is that of the first."""

    reason: str
    line: int
    count: int


class InspectedFile(msgspec.Struct, frozen=True):
    """How a file is read, and what it holds. ``symbol`` is null where it has several."""

    path: str
    layout: str
    kind: str
    exchange: str
    symbol: str | None
    symbols: list[str]
    interval: str | None
    unit: str
    zone: str
    columns: dict[str, str | int]
    rows: int
    first: Ms | None
    last: Ms | None
    holes: int
    missing: int
    empty: int
    skipped: list[str]
    assumed: list[str]
    refused: list[RejectedRows]


class UnreadFile(msgspec.Struct, frozen=True):
    """A file that cannot be imported."""

    path: str
    error: str


class SkippedFile(msgspec.Struct, frozen=True):
    """A file that is no market data."""

    path: str
    reason: str


class FileImport(msgspec.Struct, frozen=True):
    """What the files of an upload hold, and the Feeds that import them: none in a dry run."""

    files: list[InspectedFile]
    warnings: list[str]
    errors: list[UnreadFile]
    skipped: list[SkippedFile]
    feeds: list[ShownResource]
