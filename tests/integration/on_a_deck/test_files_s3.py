"""Files with s3 URLs, from a real server: listed and read like local files, and rejected with clear messages."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from decks.process import Deck, apply, eventually, phase
from endpoints import LOOPBACK
from stores.s3 import PROGRAM, S3
from tapedeck_common.files import FilesAccess, StrictReader
from tapedeck_crds.errors import Unavailable
from tapedeck_crds.files import Files
from tapedeck_deck.cli import changes
from tapedeck_deck.cli.app import app
from tapedeck_deck.embedded.documents import Document
from tapedeck_replay.errors import InvalidReplay
from tapedeck_replay.source.files.source import FileBarSource

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="versitygw is not built (tests/e2e/rig/build)")
T0, MINUTE = 1_522_800_000_000, 60_000
HEADER = "ts,open,high,low,close,volume\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    running = S3(tmp_path_factory.mktemp("s3"))
    running.start()
    yield running
    running.stop()


def files(*paths: str) -> Files:
    sets = [{"symbol": "A/USD", "path": path} for path in paths]
    return Files.model_validate({"exchange": "x", "sets": sets})


def source(path: str, credentials: Path) -> FileBarSource:
    return FileBarSource(files(path), FilesAccess(Path("/nowhere"), credentials, LOOPBACK), lambda: None)


def test_objects_are_read_like_files(server: S3, tmp_path: Path) -> None:
    bucket = server.root / "past"
    for day in range(3):
        (bucket / f"day={day}").mkdir(parents=True)
        rows = "".join(f"{T0 + (day * 10 + i) * MINUTE},{i + 1},{i + 3},1,2,0.5\n" for i in range(10))
        (bucket / f"day={day}" / "a bar.csv.gz").write_bytes(gzip.compress((HEADER + rows).encode()))
        (bucket / f"day={day}" / "other.txt").write_text("no bars")
    trades = {"ts": [T0, T0 + 1], "id": ["1", "2"], "price": [1.5, 2.5], "amount": [1.0, 2.0], "side": ["buy", "sell"]}
    pq.write_table(pa.table(trades), bucket / "trades.parquet")
    credentials = server.credentials(tmp_path / "credentials")
    found = list(
        StrictReader(files("s3://past/day=*/*.csv.gz"), FilesAccess(Path("/nowhere"), credentials, LOOPBACK)).bars()
    )
    assert [(bar.ts, bar.open) for bar in found] == [(T0 + i * MINUTE, i % 10 + 1) for i in range(30)]
    dataset = source("s3://past/day=*/*.csv.gz", credentials).resolve()
    assert dataset.rows_by_symbol == {"A/USD": 30}
    parquet = StrictReader(
        files("s3://past/trades.parquet"),
        FilesAccess(Path("/nowhere"), credentials, LOOPBACK),
    ).trades()
    assert [(t.ts, t.id, t.price, t.side) for t in parquet] == [(T0, "1", 1.5, "buy"), (T0 + 1, "2", 2.5, "sell")]


@pytest.mark.parametrize(
    ("changed", "url", "message"),
    [
        ({"secret_key": "wrong"}, "s3://kept/*.csv", "which is refused: .*signature"),
        ({"secret_key": "wrong"}, "s3://kept/a.csv", "which is refused: .*ACCESS_DENIED"),
        ({"access_key": "nobody"}, "s3://kept/a.csv", "which is refused: .*access key"),
        ({"access_key": "", "secret_key": ""}, "s3://kept/a.csv", "which is refused: .*ACCESS_DENIED"),
        ({"region": "us-east-1"}, "s3://kept/*.csv", "which is refused: .*region"),
        ({}, "s3://kept/b*.csv", "which matches no file"),
        ({}, "s3://lost/a.csv", "which matches no file"),
    ],
    ids=["secret of a list", "secret of an object", "key", "no key", "region", "object", "bucket"],
)
def test_permanent_errors_are_invalid_input(
    server: S3, tmp_path: Path, changed: dict[str, str], url: str, message: str
) -> None:
    (server.root / "kept").mkdir(exist_ok=True)
    (server.root / "kept" / "a.csv").write_text(HEADER)
    with pytest.raises(InvalidReplay, match=f"(?s){message}") as caught:
        source(url, server.credentials(tmp_path / "credentials", **changed)).resolve()
    assert caught.value.reason == "BadFiles"


@pytest.mark.slow
def test_a_replay_on_a_deck_uses_the_keys_of_its_secret(server: S3, shared_deck: Deck, tmp_path: Path) -> None:
    _, _, objects = shared_deck
    (server.root / "decks").mkdir()
    (server.root / "decks" / "a.csv").write_text(HEADER + "".join(f"{T0 + i * MINUTE},1,2,1,1,1\n" for i in range(50)))
    for name, changed in (("right", {}), ("wrong", {"secret_key": "wrong"})):
        keys = server.credentials(tmp_path / name, **changed)
        data = {each.name: each.read_text() for each in keys.iterdir()}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
        changes.apply(objects, [Document("here", tmp_path, secret)], "default")
        spec = {
            "source": {"files": {**files("s3://decks/*.csv").model_dump(exclude_none=True), "credentialsSecret": name}}
        }
        apply(objects, "Replay", f"{name}-keys", {**spec, "unpaced": True})
    assert eventually(lambda: phase(objects, "Replay", "right-keys") == "Complete")
    eventually(lambda: phase(objects, "Replay", "wrong-keys") == "Failed")
    status = objects.get("Replay", "default", "wrong-keys")["status"]
    assert status["conditions"][0]["reason"] == "BadFiles"
    assert "got 's3://decks/*.csv', which is refused" in status["message"]
    right = objects.get("Replay", "default", "right-keys")
    assert right["status"]["progress"] == "50/50"


def test_an_unreachable_object_store_is_unavailable(tmp_path: Path) -> None:
    server = S3(tmp_path / "s3")
    server.start()
    (server.root / "kept").mkdir()
    (server.root / "kept" / "a.csv").write_text(f"{HEADER}{T0},1,2,1,1,1\n")
    reading = source("s3://kept/a.csv", server.credentials(tmp_path / "credentials"))
    assert reading.resolve().rows == 1
    server.stop()
    with pytest.raises(Unavailable, match=r"s3://kept/a\.csv"):
        reading.resolve()


def test_the_commands_import_from_and_export_to_a_store(
    server: S3, shared_deck: Deck, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, facts, _ = shared_deck
    credentials = server.credentials(tmp_path / "credentials")
    for name, variable in (
        ("access_key", "AWS_ACCESS_KEY_ID"), ("secret_key", "AWS_SECRET_ACCESS_KEY"), ("region", "AWS_REGION"),
        ("endpoint", "AWS_ENDPOINT_URL"),
    ):  # fmt: skip
        monkeypatch.setenv(variable, (credentials / name).read_text().strip())
    (server.root / "mine" / "2018").mkdir(parents=True)
    for day in range(2):
        rows = "".join(f"{T0 + (day * 10 + i) * MINUTE},{i + 1},{i + 3},1,2,0.5\n" for i in range(10))
        (server.root / "mine" / "2018" / f"ETHUSD-{day}.csv").write_text(HEADER + rows)
    (server.root / "yours").mkdir()

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--home", str(home.root)])

    done = run("import", "s3://mine/2018/*.csv", "--exchange", "stored", "--yes")
    assert done.exit_code == 0, done.stderr
    assert "imported 20 bars" in done.stdout
    for target in ("s3://yours/bars.parquet", "s3://yours/parts"):
        more = ("--partition", "symbol") if target.endswith("parts") else ()
        done = run("export", "bars", "--exchange", "stored", "-o", target, *more)
        assert done.exit_code == 0, done.stderr
    assert pq.read_table(server.root / "yours" / "bars.parquet").num_rows == 20
    assert pq.read_table(server.root / "yours" / "parts").num_rows == 20
    again = run("import", "s3://yours/bars.parquet", "--exchange", "again", "--yes")
    assert again.exit_code == 0, again.stderr
    with psycopg.connect(facts["dsn"]) as connection:
        query = "SELECT symbol, ts, open, high, low, close, volume FROM bars WHERE exchange = %s ORDER BY ts"
        first, second = (connection.execute(query, [name]).fetchall() for name in ("stored", "again"))
    assert len(first) == 20 and first == second
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "its-wrong-key")
    refused = run("import", "s3://mine/2018/ETHUSD-0.csv", "--yes")
    assert refused.exit_code == 1
    assert "s3://mine/2018/ETHUSD-0.csv: " in refused.stderr and "its-wrong-key" not in refused.stderr
