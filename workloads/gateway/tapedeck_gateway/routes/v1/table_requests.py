"""Requests for rows: a page of JSON, or all rows as a file in another format."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

import msgspec
from fastapi import Depends, Request, Response

from tapedeck_gateway.routes.v1.answers import chosen_format, json_answer, table_answer
from tapedeck_gateway.routes.v1.cursors import decode_cursor, encode_cursor
from tapedeck_gateway.routes.v1.parameters import DEFAULT_ROWS, CursorText, Format, FormatName, RowLimit
from tapedeck_gateway.routes.v1.table_formats import columns_of
from tapedeck_gateway.store.page import Page, PageLoader, Place

PageMaker: TypeAlias = Callable[[list[Any], str | None], msgspec.Struct]
"""(rows, the cursor of the next page) to the answer."""


class TableRequest:
    """The format, and for JSON the page, that a request asks for."""

    def __init__(self, request: Request, format_: FormatName, limit: int, cursor: str) -> None:
        self._request, self._format, self._limit, self._cursor = request, format_, limit, cursor

    @property
    def is_file(self) -> bool:
        """Whether all rows are asked for, as a file."""
        return self._format != "json"

    def file(self, name: str, row: type[msgspec.Struct], load: PageLoader) -> Response | None:
        """All rows as a file of this name; None where JSON is asked for."""
        if self._format == "json":
            return None
        return table_answer(self._request, self._format, name, columns_of(row), load)

    def page(self, place: type[Place], load: PageLoader) -> Page:
        """The page that is asked for; ``place`` is the type of a row's place."""
        return load(self.place(place), self._limit)

    def place(self, of_type: type[Place]) -> Place | None:
        """The place after which the page begins, of this type; None of the first page."""
        return decode_cursor(self._cursor, of_type)

    def answer(
        self,
        name: str,
        row: type[msgspec.Struct],
        place: type[Place],
        load: PageLoader,
        page_of: PageMaker,
        cache: str = "",
    ) -> Response:
        """The rows in the form that is asked for. ``cache`` as for ``json_answer``."""
        if (file := self.file(name, row, load)) is not None:
            return file
        page = self.page(place, load)
        rows = [row(*values) for values in zip(*page.columns, strict=True)]
        return json_answer(self._request, page_of(rows, encode_cursor(page.next)), cache)


async def _table_request(
    request: Request, limit: RowLimit = DEFAULT_ROWS, cursor: CursorText = "", format_: Format = None
) -> TableRequest:
    return TableRequest(request, chosen_format(request, format_), limit, cursor)


Rows: TypeAlias = Annotated[TableRequest, Depends(_table_request)]
