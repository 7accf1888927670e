"""What a path of a resource can read: files below the folder alone; and no message quotes what is no market data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tapedeck_common.files import FilesAccess, FilesUnavailable, InvalidFiles, StrictReader, find_files
from tapedeck_common.files.local_files import LocalFile, OutsideFolder
from tapedeck_crds.files import Files
from tapedeck_deck.embedded.state_dir import StateDir

SECRET = "postgresql://tapedeck:its-password@db/tapedeck"
HEADER = "ts,open,high,low,close,volume\n"
ROW = "1522800000000,1,2,1,1,1\n"
FORMATS = ("auto", "lean", "binance-messages", "binance-klines", "kraken-trades")


def source(path: str, format_: str = "auto") -> Files:
    return Files.model_validate({"format": format_, "exchange": "x", "sets": [{"symbol": "A/B", "path": path}]})


def attempt(path: str, format_: str, root: Path, deck_home: Path | None = None) -> str:
    """What reading a path as this format says; empty if it was read."""
    files = source(path, format_)
    try:
        list(StrictReader(files, FilesAccess(root, deck_home=deck_home)).bars())
    except (InvalidFiles, FilesUnavailable) as error:
        return str(error)
    return ""


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """The folder of the files, and a secret outside of it, with links to it in the folder."""
    root, outside = tmp_path / "files", tmp_path / "connections"
    root.mkdir()
    outside.mkdir()
    (outside / "store_dsn").write_text(SECRET)
    (outside / "bars.csv").write_text(HEADER + ROW)
    (root / "file.csv").symlink_to(outside / "store_dsn")
    (root / "folder").symlink_to(outside)
    (root / "relative.csv").symlink_to(Path("..") / "connections" / "store_dsn")
    return root, outside


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    "path",
    [
        "{outside}/store_dsn", "file://{outside}/store_dsn", "../connections/store_dsn", "folder/store_dsn", "file.csv",
        "relative.csv", "*.csv", "folder/*", "**/store_dsn", "*/../../connections/*", "local://{outside}/store_dsn",
        "{outside}/bars.csv", "/proc/self/environ", "/dev/zero", "gs://bucket/key", "http://169.254.169.254/latest",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_folder(folders: tuple[Path, Path], path: str, format_: str) -> None:
    root, outside = folders
    said = attempt(path.format(outside=outside), format_, root)
    assert said.startswith("path: got")
    assert "its-password" not in said and "postgresql" not in said


def test_links_within_the_folder_are_followed(tmp_path: Path) -> None:
    """As in a mounted ConfigMap, whose files are links to a folder that is exchanged as a whole."""
    (tmp_path / "..data_1").mkdir()
    (tmp_path / "..data_1" / "bars.csv").write_text(HEADER + ROW)
    (tmp_path / "..data").symlink_to("..data_1")
    (tmp_path / "bars.csv").symlink_to(Path("..data") / "bars.csv")
    assert [bar.ts for bar in StrictReader(source("bars.csv"), FilesAccess(tmp_path)).bars()] == [1_522_800_000_000]


def test_a_file_that_becomes_a_link_after_the_check_is_not_read(folders: tuple[Path, Path]) -> None:
    root, outside = folders
    (root / "later.csv").write_text(HEADER + ROW)
    (found,) = find_files(source("later.csv"), FilesAccess(root))["A/B"]
    (root / "later.csv").unlink()
    (root / "later.csv").symlink_to(outside / "bars.csv")
    with pytest.raises(OutsideFolder, match="leads out"):
        found.path.open()


def test_a_pipe_in_place_of_a_file_neither_blocks_nor_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(OutsideFolder, match="no regular file"):
        LocalFile(tmp_path.resolve(), tmp_path.resolve() / "pipe.csv").open()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of a deck, in the folder of the files."""
    home = StateDir.at(tmp_path / "files" / ".tapedeck")
    for path in (
        home.kafka_file,
        home.uploads / "default" / "a" / "bars.csv",
        home.pods / "p" / "volumes" / "bars.csv",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEADER + ROW)
    (home.root.parent / "bars.csv").write_text(HEADER + ROW)
    (home.root.parent / "link.csv").symlink_to(home.kafka_file)
    return home.root


@pytest.mark.parametrize(
    "path",
    [
        ".tapedeck/kafka.properties", ".tapedeck/*.properties", "**/kafka.properties", "link.csv", "l*.csv",
        ".tapedeck/uploads/default/a/bars.csv", "./.tapedeck/../.tapedeck/kafka.properties",
    ],
)  # fmt: skip
def test_no_path_leads_into_the_home_of_the_deck(home: Path, path: str) -> None:
    said = attempt(path, "auto", home.parent, home)
    assert said == (
        f"path: got {path!r}, which is in the home of the deck, with its passwords, logs and tables; "
        f"expected files below {home.parent.resolve()}"
    )


def test_a_pattern_passes_over_the_home_of_the_deck(home: Path) -> None:
    (found,) = find_files(source("**/bars.csv"), FilesAccess(home.parent, deck_home=home))["A/B"]
    assert found.name == "bars.csv"


def test_a_file_that_becomes_a_link_into_the_home_of_the_deck_is_not_read(home: Path) -> None:
    (found,) = find_files(source("bars.csv"), FilesAccess(home.parent, deck_home=home))["A/B"]
    (home.parent / "bars.csv").unlink()
    (home.parent / "bars.csv").symlink_to(home / "kafka.properties")
    with pytest.raises(OutsideFolder, match="home of the deck"):
        found.path.open()


@pytest.mark.parametrize("folder", ["uploads/default/a", "pods/p/volumes"])
def test_uploaded_files_and_volumes_are_read_though_they_are_in_the_home_of_the_deck(home: Path, folder: str) -> None:
    assert attempt("bars.csv", "auto", home / folder, home) == ""


@pytest.mark.parametrize("folder", ["", "postgres"])
def test_a_resource_from_the_home_of_the_deck_reads_none_of_its_files(home: Path, folder: str) -> None:
    (home / folder).mkdir(exist_ok=True)
    (home / folder / "secret.csv").write_text(HEADER + ROW)
    assert "is in the home of the deck" in attempt("secret.csv", "auto", home / folder, home)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("suffix", ["", ".gz", ".zip", ".csv"])
def test_a_message_never_quotes_what_is_no_market_data(tmp_path: Path, format_: str, suffix: str) -> None:
    (tmp_path / f"secret{suffix}").write_text(f"{SECRET}\n{SECRET},{SECRET}\n")
    said = attempt(f"secret{suffix}", format_, tmp_path)
    assert said
    assert "its-password" not in said and "postgres" not in said


def test_a_message_quotes_sixty_characters_of_a_row_with_escapes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{HEADER}1522800000000,1\x1b]0;owned\x07\u202e{'9' * 200}x,2,1,1,1\n")
    said = attempt("a.csv", "auto", tmp_path)
    assert said.isprintable() and "\\x1b" in said and "\\u202e" in said
    assert "9" * 60 not in said
