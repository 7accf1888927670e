"""Text of requests: NUL, which Postgres can neither store nor compare, is refused wherever text enters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from starlette.requests import HTTPConnection

from tapedeck_crds.errors import InvalidInput


async def refuse_nul_in_parameters(connection: HTTPConnection) -> None:
    """A dependency of every route: raises InvalidInput for a parameter of the path or the query that holds NUL."""
    refuse_nul(connection.path_params)
    refuse_nul(connection.query_params.multi_items())


def refuse_nul(texts: Mapping[str, object] | Iterable[tuple[str, object]]) -> None:
    """Raises InvalidInput, which names the text, where one of the texts by name holds NUL."""
    for name, text in texts.items() if isinstance(texts, Mapping) else texts:
        if "\x00" in str(text):
            raise InvalidInput(f"{name}: got {str(text)[:80]!r}, expected text without NUL")
