"""kopf's connection to the API server, with a middleware of ours in it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import kopf


@dataclass(frozen=True, kw_only=True)
class Session(kopf.AiohttpSession):
    """Equal where the credentials are: kopf gives up on those that were refused, and must know them again."""

    aiohttp_session: aiohttp.ClientSession = field(compare=False)
    credentials: kopf.ConnectionInfo


def login_through(middleware: aiohttp.ClientMiddlewareType) -> Any:
    """A login handler, as the pod's service account or as $KUBECONFIG says."""

    async def login(**context: Any) -> Session | None:
        info = await asyncio.to_thread(kopf.login_via_client, **context)
        if info is None:
            return None
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
            headers=info.as_http_headers(),
            trust_env=info.trust_env,
            middlewares=[middleware],
        )
        return Session(server=info.server, priority=info.priority, aiohttp_session=session, credentials=info)

    return login
