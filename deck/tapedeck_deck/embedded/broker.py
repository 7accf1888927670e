"""The embedded broker: Apache Kafka on a JRE, both installed by pip."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tapedeck_deck.embedded import jars, jvm, kafka_storage, ports, processes
from tapedeck_deck.embedded.broker_access import ADMIN, BrokerAccess
from tapedeck_deck.embedded.download_cache import cache_dir
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.jars import KAFKA
from tapedeck_deck.embedded.private_files import private_folder, write_private

VERSION_FILE = "version"
_DATA = "data"
_LOGGING = "log4j2.yaml"
ANSWER_SECONDS = 2.0  # a broker on a busy machine takes a while for its first answers


@dataclass
class KafkaBroker:
    """One Kafka node, broker and controller, on the loopback. ``folder`` holds all its files."""

    folder: Path
    port: int
    access: BrokerAccess = field(default_factory=BrokerAccess)
    controller_port: int = field(default_factory=ports.free_port)
    process: subprocess.Popen[bytes] | None = None
    _archive: jvm.ClassArchive | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    def client(self, account: str = ADMIN) -> dict[str, str]:
        """What a client of the account needs, by the names of the files of connections."""
        return self.access.client(self.bootstrap, account)

    @property
    def data(self) -> Path:
        return self.folder / _DATA

    @property
    def log(self) -> Path:
        return self.folder / "broker.log"

    @property
    def _temporary(self) -> Path:
        """For the native libraries that a JVM unpacks, and leaves behind where it is killed."""
        return self.folder / "tmp"

    def start(self) -> None:
        """Format a new folder, start the broker and wait until it answers. Raises DeckError."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start without waiting. Raises DeckError if the port is in use or the data is of another version."""
        ports.require_free(self.port, "broker port")
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._temporary, ignore_errors=True)
        private_folder(self._temporary, "the broker's temporary folder")
        properties = self.folder / "server.properties"
        write_private(properties, self._properties())
        write_private(self.folder / _LOGGING, _LOG4J2)
        class_path = jars.class_path()
        self._archive = jvm.ClassArchive(
            class_path, self.folder / "classes.lst", "guarded" if self.access.passwords else "open"
        )
        self._prepare(class_path, properties)
        processes.begin_log(self.log)
        self.process = processes.start(
            self._command(class_path, "kafka.Kafka", properties),
            log=self.log,
            env=os.environ | {"LC_ALL": "C.UTF-8"},  # in which Java names files
            cwd=self.folder,
        )

    def wait_ready(self) -> None:
        """Wait until the broker answers. Raises DeckError with the end of its log if it does not."""
        from confluent_kafka.admin import AdminClient

        from tapedeck_common.kafka import client_config
        from tapedeck_common.settings import Connections

        if self.process is None:
            raise DeckError("the broker was not started")
        quiet = logging.getLogger("librdkafka.starting")
        quiet.addHandler(logging.NullHandler())
        quiet.propagate = False
        config = client_config(Connections.model_validate(self.client()), "tapedeck-deck") | {"logger": quiet}
        config |= {"reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200}  # an idle machine's start is short
        client = AdminClient(config)

        def answers() -> bool:
            try:
                return bool(client.list_topics(timeout=ANSWER_SECONDS).brokers)
            except Exception:  # not up yet, or busy
                return False

        processes.wait_ready("the broker", self.process, answers, log=self.log)
        if self._archive is not None:
            self._archive.create()

    def stop(self) -> None:
        """Shut down cleanly, or kill the process after 20 s."""
        self._abort_archive()
        if self.process is not None:
            processes.stop(self.process, grace=20)
            self.process = None

    def kill(self) -> None:
        """Kill the process, as a crash would end it."""
        self._abort_archive()
        if self.process is not None:
            processes.stop(self.process, grace=5, first=signal.SIGKILL)
            self.process = None

    def _abort_archive(self) -> None:
        if self._archive is not None:
            self._archive.abort()

    def _prepare(self, class_path: str, properties: Path) -> None:
        version = self.folder / VERSION_FILE
        if version.exists():
            _check_version(version)
            return
        features = cache_dir() / "formatted" / f"{KAFKA}.checkpoint"
        tool = self._command(class_path, "kafka.tools.StorageTool", "format", "--ignore-formatted", "-c", properties)
        kafka_storage.prepare(self.data, features, tool)
        version.write_text(KAFKA)

    def _command(self, class_path: str, main: str, *arguments: str | Path) -> list[str]:
        return [
            str(jvm.java()), *jvm.FLAGS, *(self._archive.flags() if self._archive else ()),
            f"-Djava.io.tmpdir={self._temporary}",
            f"-Dlog4j2.configurationFile={_LOGGING}",
            "-cp", class_path, main, *map(str, arguments),
        ]  # fmt: skip

    def _properties(self) -> str:
        return _PROPERTIES.format(
            node=kafka_storage.NODE,
            port=self.port,
            controller=self.controller_port,
            data=_DATA,  # from the broker's folder, whose name may have a comma, which divides two folders
            security=self.access.properties(),
        )


def _check_version(file: Path) -> None:
    written = file.read_text().strip()
    if written != KAFKA:
        raise DeckError(
            f"broker data in {file.parent}: got version {written}, expected {KAFKA}; "
            "use the version of Tapedeck that wrote it, or move the folder away"
        )


_PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={node}@127.0.0.1:{controller}
listeners=CLIENTS://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENTS://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENTS
{security}log.dirs={data}
auto.create.topics.enable=false
num.partitions=1
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=4194304
log.segment.bytes=134217728
num.network.threads=2
listener.name.controller.num.network.threads=1
group.coordinator.threads=1
num.io.threads=4
background.threads=4
log.retention.check.interval.ms=60000
metadata.max.idle.interval.ms=10000
"""

_LOG4J2 = """\
Configuration:
  status: warn
  Appenders:
    Console:
      name: out
      PatternLayout:
        alwaysWriteExceptions: false
        pattern: >-
          {"timestamp":"%d{yyyy-MM-dd'T'HH:mm:ss.SSS'Z'}{UTC}","level":"%p{lowerCase=true}","workload":"broker",
          "logger":"%c{1}","event":"%enc{%m}{JSON}"%notEmpty{,"exception":"%enc{%ex}{JSON}"}}%n
  Loggers:
    Root: {level: warn, AppenderRef: {ref: out}}
"""
