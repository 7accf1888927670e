"""``python -m tapedeck_gateway``: charts, replays and runs for browsers. Exits 0 after a stop."""

from __future__ import annotations

import asyncio
import socket
import sys

import uvicorn

from tapedeck_common.atomic_file import write_atomically
from tapedeck_common.logs import log
from tapedeck_common.pod.shell import Workload, run_pod
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.errors import TapedeckError
from tapedeck_crds.report import Report, ReportState
from tapedeck_gateway.app import make_app
from tapedeck_gateway.options import GatewayOptions
from tapedeck_gateway.routes.websocket import MESSAGE_BYTES


class PortTaken(TapedeckError):
    """Another process listens on the gateway's port."""

    reason = "CannotListen"


class GatewayWorkload(Workload):
    """Serves browsers, and the probes on the same port."""

    def __init__(self, settings: PodSettings) -> None:
        super().__init__()
        self._settings = settings
        self._state: ReportState = "starting"

    def report(self) -> Report:
        """The state: /status has its own."""
        return Report(state=self._state)

    def run(self) -> None:
        """Serve until a stop, which uvicorn handles itself. Raises InvalidInput and PortTaken."""
        settings = self._settings
        options = settings.parse_spec(GatewayOptions)
        connections = Connections.read(settings.connections)
        try:
            listener = socket.create_server((settings.http_host, settings.http_port), backlog=1_024)
        except OSError as error:
            address = f"{settings.http_host}:{settings.http_port}"
            raise PortTaken(f"http port: got {address}, expected a free one ({error.strerror})") from None
        self._state = "running"
        asyncio.run(_serve(settings, connections, options, listener))
        self._state = "complete"


async def _serve(
    settings: PodSettings, connections: Connections, options: GatewayOptions, listener: socket.socket
) -> None:
    port = listener.getsockname()[1]

    def started() -> None:
        if settings.port_file is not None:
            write_atomically(settings.port_file, str(port))
        log.info("serving", port=port)

    config = uvicorn.Config(
        make_app(connections, options, started),
        log_level="warning",
        access_log=False,
        ws="websockets-sansio",
        ws_max_size=MESSAGE_BYTES,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        timeout_graceful_shutdown=2,
        server_header=False,
    )
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    sys.exit(run_pod("gateway", PodSettings, GatewayWorkload, serve_probes=False))
