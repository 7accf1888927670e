"""kopf's connection to the API server, with a middleware of the operator in it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import kopf


@dataclass(frozen=True, kw_only=True)
class KopfSession(kopf.AiohttpSession):
    """A session that equals another one with the same credentials: kopf gives up on those that the server refused."""

    aiohttp_session: aiohttp.ClientSession = field(compare=False)
    credentials: kopf.ConnectionInfo


def login_through(middleware: aiohttp.ClientMiddlewareType) -> Any:
    """A login handler that connects as the pod's service account, else as $KUBECONFIG says."""

    async def login(**context: Any) -> KopfSession | None:
        info = await asyncio.to_thread(kopf.login_via_client, **context)
        if info is None:
            return None
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
            headers=info.as_http_headers(),
            trust_env=info.trust_env,
            middlewares=[middleware],
        )
        return KopfSession(server=info.server, priority=info.priority, aiohttp_session=session, credentials=info)

    return login
