"""Answers of /api/v1: JSON or a table, compressed, and cached where what they say cannot change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import chain

import msgspec
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from tapedeck_gateway.routes.v1.compression import SMALL, accepted_coding, compress, compressed
from tapedeck_gateway.routes.v1.parameters import FormatName
from tapedeck_gateway.routes.v1.table_formats import (
    MEDIA_TYPES,
    PAGE_ROWS,
    Columns,
    TableColumn,
    TableFormat,
    table_stream,
)
from tapedeck_gateway.store.page import Page, PageLoader, Place

JSON = "application/json"
IMMUTABLE = "private, max-age=300, immutable"  # a correction shows within five minutes
REVALIDATED = "private, no-cache"
_BY_MEDIA_TYPE: dict[str, FormatName] = {JSON: "json", **{text: name for name, text in MEDIA_TYPES.items()}}


def chosen_format(request: Request, given: FormatName | None) -> FormatName:
    """The format of an answer: the parameter's, else the first that the header Accept names, else JSON."""
    if given is not None:
        return given
    accepted = (part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(","))
    return next((_BY_MEDIA_TYPE[text] for text in accepted if text in _BY_MEDIA_TYPE), "json")


def json_answer(request: Request, value: object, cache: str = "", headers: dict[str, str] | None = None) -> Response:
    """A value as JSON. ``cache`` is the header Cache-Control of an answer that has an ETag; others are not kept."""
    body = msgspec.json.encode(value)
    sent = {"vary": "accept, accept-encoding", **(headers or {})}
    if cache:
        sent |= {"cache-control": cache, "etag": f'W/"{blake2b(body, digest_size=16).hexdigest()}"'}
        if sent["etag"] in (tag.strip() for tag in request.headers.get("if-none-match", "").split(",")):
            return Response(None, 304, sent)
    coding = accepted_coding(request.headers.get("accept-encoding", ""))
    if coding is not None and len(body) >= SMALL:
        body, sent["content-encoding"] = compress(coding, body), coding
    return Response(body, 200, sent, JSON)


def table_answer(
    request: Request, format_: TableFormat, name: str, columns: Sequence[TableColumn], load: PageLoader
) -> Response:
    """All rows as a file of this name. The first page is loaded before the response begins, for errors' sake."""
    first = load(None, PAGE_ROWS)
    headers = {"vary": "accept, accept-encoding", "content-disposition": f'attachment; filename="{name}.{format_}"'}
    pages = iter(()) if request.method == "HEAD" else chain([first.columns], _rest(first, load))
    chunks: Iterable[bytes] = table_stream(format_, columns, pages)
    coding = accepted_coding(request.headers.get("accept-encoding", ""))
    if coding is not None and format_ == "csv":  # the others are binary: Parquet is compressed in itself
        chunks, headers["content-encoding"] = compressed(coding, chunks), coding
    return StreamingResponse(chunks, 200, headers, MEDIA_TYPES[format_])


def _rest(page: Page, load: PageLoader) -> Iterator[Columns]:
    """The pages after one. Each is a query of its own: a slow client holds no connection of the database."""
    place: Place | None = page.next
    while place is not None:
        page = load(place, PAGE_ROWS)
        place = page.next
        yield page.columns
