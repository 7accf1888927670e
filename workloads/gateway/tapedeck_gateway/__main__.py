"""``python -m tapedeck_gateway``: charts, replays and runs for browsers. Exits 0 after a stop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

from tapedeck_common.atomic_file import write_atomically
from tapedeck_common.logs import log
from tapedeck_common.pod.listener import listen
from tapedeck_common.pod.shell import Workload, run_pod
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.errors import InvalidInput, TapedeckError
from tapedeck_crds.report import Report, ReportState
from tapedeck_gateway.access.hosts import is_loopback
from tapedeck_gateway.access.tokens import Tokens
from tapedeck_gateway.app import make_app
from tapedeck_gateway.options import GatewayOptions
from tapedeck_gateway.resources.connection import connect_files, connect_resources
from tapedeck_gateway.server.certificate import Certificate
from tapedeck_gateway.server.serve import BACKLOG, serve


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
        tokens = Tokens(settings.tokens, open_reading=options.open_reading)
        if not tokens.required and not is_loopback(settings.http_host):
            raise InvalidInput(
                "tokens: got none, expected a folder with some because the gateway listens on "
                f"{settings.http_host}; set TAPEDECK_TOKENS"
            )
        certificate = None if settings.tls is None else Certificate(settings.tls)
        try:
            listener = listen(settings.http_host, settings.http_port, BACKLOG)
        except OSError as error:
            address = f"{settings.http_host}:{settings.http_port}"
            raise PortTaken(f"http port: got {address}, expected a free one ({error.strerror})") from None
        self._state = "running"
        started = _on_started(settings, listener.getsockname()[1])
        resources = connect_resources(settings.resource_api, settings.resource_api_credentials)
        app = make_app(connections, options, tokens, started, resources, connect_files(settings.resource_api))
        gc.freeze()  # a search for cycles in all modules takes 100 ms, in which nobody is answered
        asyncio.run(serve(app, listener, options, certificate))
        self._state = "complete"


def _on_started(settings: PodSettings, port: int) -> Callable[[], None]:
    def started() -> None:
        if settings.port_file is not None:
            write_atomically(settings.port_file, str(port))
        log.info("serving", port=port)

    return started


if __name__ == "__main__":
    run_pod("gateway", PodSettings, GatewayWorkload, serve_probes=False)
