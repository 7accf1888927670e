"""`helm test` against a real broker and database."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pods.services import as_role
from tapedeck_common.settings import Connections
from tapedeck_maintenance.connection_check import main


class Probes(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_healthy_connections_pass_and_failed_ones_are_reported(
    connections: Connections, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kafka_bootstrap").write_text(connections.kafka_bootstrap)
    dsn = as_role(connections, "tapedeck_reader").store_dsn.get_secret_value()
    (tmp_path / "store_dsn").write_text(dsn)
    monkeypatch.setenv("TAPEDECK_CONNECTIONS", str(tmp_path))
    with HTTPServer(("127.0.0.1", 0), Probes) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        assert main([f"{url}/readyz"]) == 0
        assert "bars can be read" in capsys.readouterr().out
        assert main([f"{url}/readyz", f"{url}/healthz"], wait=0) == 1
        assert "HTTP Error 503" in capsys.readouterr().out
        (tmp_path / "store_dsn").write_text(dsn.replace("/test_", "/nowhere_"))
        assert main([f"{url}/readyz"], wait=0) == 1
        assert "database: failed" in capsys.readouterr().out
        server.shutdown()
