"""A Prometheus beside the deck, where one is installed: it scrapes the deck's pods and evaluates the chart's alerts."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sysconfig
from pathlib import Path

from tapedeck_deck.embedded import ports, processes
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.private_files import private_folder, write_private

PROGRAM = "prometheus"
PORT = 9090
RETENTION = "15d"
RULES = Path(__file__).parents[3] / "charts" / "tapedeck" / "files" / "alerts.yaml"
"""Where a clone has the alerts' rule file; a wheel installs it below ``_INSTALLED`` of its environment or its user."""
_INSTALLED = Path("share", "tapedeck", "alerts.yaml")
CHECK_SECONDS = 0.5
STOP_SECONDS = 10.0
SCRAPE_SECONDS = 5


def program() -> str:
    """The path of the installed Prometheus. Raises DeckError where there is none."""
    found = shutil.which(PROGRAM)
    if found is None:
        raise DeckError(
            "--metrics: got no program `prometheus` in PATH, expected one; install it (Debian and Ubuntu: "
            "apt-get install prometheus, macOS: brew install prometheus), or scrape the pods by your own"
        )
    return found


def rules() -> Path:
    """The rule file of the alerts. Raises DeckError where neither a clone nor the installed package has it."""
    schemes = (sysconfig.get_preferred_scheme("prefix"), sysconfig.get_preferred_scheme("user"))
    places = [RULES, *(Path(sysconfig.get_path("data", scheme)) / _INSTALLED for scheme in schemes)]
    for path in places:
        if path.is_file():
            return path
    raise DeckError(
        f"--metrics: got no rules of alerts in {', '.join(map(str, places))}, expected the file in one; "
        "install Tapedeck again, by pip into an environment or a user's packages"
    )


class Prometheus:
    """One server on the loopback. ``folder`` holds its configuration and its data, which outlive the deck.

    ``targets_url`` tells what to scrape. It ends with the process that started it.
    """

    def __init__(self, folder: Path, log: Path, targets_url: str) -> None:
        self._folder = folder
        self._log = log
        self._targets_url = targets_url
        self._port = _port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its page."""
        return f"http://127.0.0.1:{self._port}/"

    async def run(self) -> None:
        """Run it until cancelled or ``stop``. Raises DeckError where it cannot run, or has ended."""
        self._launch()
        while self._process is not None:
            code = self._process.poll()
            if code is not None:
                raise DeckError(f"Prometheus ended with exit code {code}: {processes.tail(self._log, 3)}")
            await asyncio.sleep(CHECK_SECONDS)

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            processes.stop(self._process, grace=STOP_SECONDS)
            self._process = None

    def _launch(self) -> None:
        self.stop()
        private_folder(self._folder, "the folder of Prometheus")
        file = self._folder / "prometheus.yml"
        write_private(file, json.dumps(configuration(self._targets_url, rules()), indent=2))
        processes.begin_log(self._log)
        self._process = processes.start(
            [
                program(), f"--config.file={file}", f"--storage.tsdb.path={self._folder / 'data'}",
                f"--storage.tsdb.retention.time={RETENTION}", f"--web.listen-address=127.0.0.1:{self._port}",
                "--log.format=json",
            ],
            log=self._log,
        )  # fmt: skip


def configuration(targets_url: str, rules: Path) -> dict[str, object]:
    """Its configuration, as JSON, which is YAML. The pods' own labels win, as with the chart's monitors."""
    return {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {
                "job_name": "tapedeck",
                "honor_labels": True,
                "http_sd_configs": [{"url": targets_url, "refresh_interval": f"{SCRAPE_SECONDS}s"}],
            }
        ],
    }


def _port() -> int:
    """The usual port, or a free one if that is taken."""
    try:
        ports.require_free(PORT, "Prometheus")
    except DeckError:
        return ports.free_port()
    return PORT
