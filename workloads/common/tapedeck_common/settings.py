"""Settings of a pod: paths, ports and ids from the environment, secrets from files.

Connections are the files of one folder, named by field: a mounted Secret holds only those that the workload needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from tapedeck_common.addresses import EndpointPolicy
from tapedeck_common.logs import hide_secret
from tapedeck_crds.errors import InvalidInput, TapedeckError
from tapedeck_crds.validation import validation_problems

SpecT = TypeVar("SpecT", bound=BaseModel)
WorkloadName = Literal["feed", "replay", "transform", "backtest", "recorder", "gateway"]


class InvalidConnections(TapedeckError):
    """A connection setting is wrong. The next start may succeed: the Secret may have been corrected by then."""

    reason = "BadConnections"


class PodSettings(BaseSettings):
    """Identity and paths of a pod (environment variables with the prefix ``TAPEDECK_``)."""

    model_config = SettingsConfigDict(env_prefix="TAPEDECK_", frozen=True)
    kind: Literal["", "Feed", "Replay", "Backtest"] = Field(default="", description="of the resource that it runs for")
    name: str = "local"
    namespace: str = "default"
    uid: str = ""
    spec: str = "{}"
    shard: int = 0
    http_host: str = "127.0.0.1"
    http_port: int = 0
    port_file: Path | None = None
    connections: Path = Path("/etc/tapedeck/connections")
    control_key_file: Path | None = None
    tokens: Path | None = Field(default=None, description="folder with the bearer tokens of the gateway's clients")
    tls: Path | None = Field(default=None, description="folder with tls.crt and tls.key: the gateway serves HTTPS")
    resource_api: str = Field(
        default="",
        description="where the gateway reads and changes resources: the https:// URL of an API server, or unix: with "
        "the path of a deck's socket; nowhere if empty",
    )
    resource_api_credentials: Path | None = Field(
        default=None, description="folder with token and ca.crt of the gateway's service account"
    )
    run_key_file: Path | None = Field(default=None, description="the key with which a Backtest signs its results")
    files: Path = Path("/opt/tapedeck/examples")
    deck_home: Path | None = Field(
        default=None, description="the embedded deck's folder, which users' code must not read"
    )
    file_credentials: Path | None = None
    endpoints: EndpointPolicy = Field(default=EndpointPolicy(), description="where URLs of the spec may lead to")
    image: str = ""
    exchange_keys: Path | None = None
    silence_seconds: float = Field(
        default=30.0, gt=0, description="silence of a stream after which the exchange is queried by REST"
    )
    markets_seconds: float = Field(default=3600.0, gt=0, description="time between two reads of the exchange's markets")
    backfill_until: int | None = Field(
        default=None, description="milliseconds UTC; a backfill pod downloads bars up to this time"
    )
    replay_uid: str = ""
    feed_exchange: str = Field(default="", description="exchange of the live market that a Backtest trades on paper")
    since: str = Field(default="", description="RFC 3339 time from which a Backtest trades or a transform computes")
    termination_log: Path | None = None
    log_level: str = "info"

    @property
    def hidden_folders(self) -> tuple[Path, ...]:
        """The folders with passwords and keys: users' code cannot read them, even beside its own files."""
        return (self.connections, *([self.deck_home] if self.deck_home is not None else []))

    def parse_spec(self, model: type[SpecT]) -> SpecT:
        """``spec`` as a model. Raises InvalidInput with a line for each problem."""
        try:
            return model.model_validate_json(self.spec)
        except ValidationError as error:
            problems = validation_problems(error, prefix="TAPEDECK_SPEC: ")
            raise InvalidInput("\n".join(problems), reason="BadSpec") from None


class Connections(BaseSettings):
    """Addresses and credentials of the broker and the database."""

    model_config = SettingsConfigDict(env_prefix="TAPEDECK_CONNECTION_", frozen=True, extra="ignore")
    kafka_bootstrap: str = "127.0.0.1:9092"
    kafka_security_protocol: str = "PLAINTEXT"
    kafka_sasl_mechanism: str = ""
    kafka_username: str = ""
    kafka_password: SecretStr = SecretStr("")
    kafka_ca: Path | None = None
    store_dsn: SecretStr = Field(default=SecretStr(""), description="libpq URI of the database")

    @classmethod
    def read(cls, folder: Path) -> Connections:
        """Read the files of a folder; for a missing or empty file, the environment. Raises InvalidConnections."""
        values: dict[str, object] = {name: text for name in cls.model_fields if (text := _file_text(folder / name))}
        if "kafka_ca" in values:
            values["kafka_ca"] = folder / "kafka_ca"  # the setting is the path of the file with the CA, not its content
        try:
            connections = cls(**values)  # type: ignore[arg-type]
        except ValidationError as error:
            problems = validation_problems(error, prefix=f"{folder}: ")
            raise InvalidConnections("\n".join(problems)) from None
        hide_secret(connections.kafka_password.get_secret_value())
        hide_secret(_password_of(connections.store_dsn.get_secret_value()))
        return connections


def _password_of(uri: str) -> str:
    try:
        return unquote(urlsplit(uri).password or "")
    except ValueError:
        return ""


def _file_text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return None
