"""The Unix socket at which a deck's gateway reads and changes resources and uploads, in a folder of its owner alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct

import structlog
from aiohttp import web

from tapedeck_common.unix_socket import socket_address
from tapedeck_deck.embedded.api_answers import ApiRequest
from tapedeck_deck.embedded.object_api import ObjectApi
from tapedeck_deck.embedded.private_files import private_folder
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_deck.embedded.upload_api import PREFIX, UploadApi

log = structlog.get_logger()

BODY_BYTES = 4 * 1024 * 1024
CLOSE_SECONDS = 2.0
_CREDENTIALS = struct.Struct("3i")  # pid, uid and gid of the peer


class ApiSocket:
    """Serves an ObjectApi and an UploadApi to processes of the deck's own user."""

    def __init__(self, state_dir: StateDir, api: ObjectApi, uploads: UploadApi) -> None:
        self._state_dir = state_dir
        self._api = api
        self._uploads = uploads

    async def run(self) -> None:
        """Serve until cancelled. Raises DeckError or OSError where the socket cannot be made."""
        path = self._state_dir.api_socket
        private_folder(path.parent, "the gateway's folder")
        with contextlib.suppress(FileNotFoundError):
            path.unlink()  # of a deck that was killed
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=CLOSE_SECONDS)
        await runner.setup()
        try:
            await web.UnixSite(runner, socket_address(path)).start()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.Response:
        """Answer in a thread: another process may hold the lock of the objects' file."""
        if not _is_own_user(request.transport):
            return web.Response(status=403, text="peer: got another user's process, expected one of the deck's owner")
        asked = ApiRequest(request.method, request.path, request.query, request.content_type, await request.read())
        api = self._uploads if request.path.startswith(f"{PREFIX}/") else self._api
        answer = await asyncio.to_thread(api.answer, asked)
        if isinstance(answer.body, str):
            return web.Response(status=answer.status, text=answer.body)
        return web.json_response(answer.body, status=answer.status)


def _is_own_user(transport: asyncio.Transport | None) -> bool:
    """Whether the peer is of the deck's user. Where the kernel does not say, the folder's mode has kept others out."""
    peer: socket.socket | None = None if transport is None else transport.get_extra_info("socket")
    if peer is None:
        return False
    option: int | None = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    credentials = peer.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    return bool(_CREDENTIALS.unpack(credentials)[1] == os.geteuid())
