"""A deck's folder from a backup: the whole archive is checked first, and the folder appears when it is complete."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tapedeck_common.store.schema_version import known_revisions
from tapedeck_deck.embedded import postgres_dump
from tapedeck_deck.embedded.backup import OnProgress
from tapedeck_deck.embedded.backup_archive import STORE, Archive, Manifest
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import MIGRATIONS
from tapedeck_deck.embedded.postgres import Postgres
from tapedeck_deck.embedded.postgres_account import MAJOR
from tapedeck_deck.embedded.state_dir import StateDir


def restore(file: Path, home: StateDir, on_progress: OnProgress = lambda _what, _bytes: None) -> Manifest:
    """Make a deck's folder with the content of a backup. Raises DeckError; then nothing was written."""
    if home.root.exists() and (not home.root.is_dir() or any(home.root.iterdir())):
        raise DeckError(f"--home: got {home.root}, which is not empty, expected a new or empty folder; choose another")
    archive = Archive(file, lambda done: on_progress("the check of the archive", done))
    try:
        _check_versions(file, archive.manifest)
        try:
            home.root.parent.mkdir(parents=True, exist_ok=True)
            unfinished = Path(
                tempfile.mkdtemp(prefix=f".{home.root.name}.", suffix=".unfinished", dir=home.root.parent)
            )
        except OSError as error:
            raise DeckError(f"{home.root}: cannot be written: {error.strerror}") from None
        try:
            _fill(StateDir(unfinished), archive, on_progress)
            unfinished.rename(home.root)
        except OSError as error:
            raise DeckError(f"{home.root}: cannot be written: {error.strerror or error}; nothing was kept") from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return archive.manifest
    finally:
        archive.close()


def _check_versions(file: Path, manifest: Manifest) -> None:
    newer = [
        name
        for name, known in {
            "resources": manifest.objects_version <= len(MIGRATIONS),
            "store": manifest.store_revision in known_revisions(),
            "database": manifest.postgres <= MAJOR,
        }.items()
        if not known
    ]
    if newer:
        raise DeckError(
            f"{file}: got a backup by Tapedeck {manifest.tapedeck} with a newer schema ({', '.join(newer)}) than this "
            "version knows; use that version of Tapedeck or a later one"
        )


def _fill(home: StateDir, archive: Archive, on_progress: OnProgress) -> None:
    home.prepare()
    archive.extract(home.root)
    postgres = Postgres(home.database)
    on_progress("the database", 0)
    try:
        postgres.start()
        postgres_dump.load(postgres, home.root / STORE, lambda done: on_progress("the store", done))
    finally:
        postgres.stop()
    (home.root / STORE).unlink()
