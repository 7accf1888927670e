"""The audit log: who asked for which change, when, and whether it was done. One line for each accepted request.

Those that the guard refuses are counted in ``refused``.

A route says what the body asks for in ``request.state.change``: the path names only the resource.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Message, Scope, Send

from tapedeck_common.logs import log
from tapedeck_crds.text import printable
from tapedeck_gateway.access.tokens import Grant

MAX_CHARACTERS = 500  # of a path, a query or a change


@asynccontextmanager
async def audited(scope: Scope, grant: Grant, client: str, send: Send) -> AsyncIterator[Send]:
    """A ``send`` for the response; the request is logged at the end, with status 500 where there was no response."""
    status = 500

    async def send_and_note(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    try:
        yield send_and_note
    finally:
        log.info(
            "audit",
            who=grant.name,
            client=client,
            method=scope["method"],
            path=scope["path"][:MAX_CHARACTERS],
            query=scope["query_string"].decode("latin-1")[:MAX_CHARACTERS],
            change=printable(str(scope.get("state", {}).get("change", "")))[:MAX_CHARACTERS],
            status=status,
        )
