"""The archive of a backup: an uncompressed tar whose first member, the manifest, has size and hash of all others."""

from __future__ import annotations

import io
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tapedeck_common.version import VERSION
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.private_files import FILE, open_private

FORMAT = 1  # the manifest's tapedeck_backup
MANIFEST = "tapedeck-backup.json"
OBJECTS, STORE = "objects.db", "store.dump"  # in every archive
_MAX_MANIFEST = 1 << 20
_CHUNK = 1 << 20
_NAME = re.compile(r"objects\.db|store\.dump|sinks\.yaml|sinks(/[A-Za-z0-9][A-Za-z0-9._-]*){1,2}")

Pulse = Callable[[int], None]
"""Called with the number of bytes done so far."""


class _Header(BaseModel):
    """The fields that no later format changes."""

    tapedeck_backup: int = Field(ge=1)
    tapedeck: str = Field(max_length=60)


class Part(BaseModel):
    """A member of the archive."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    size: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Manifest(_Header):
    """What an archive holds, and the schemas of its parts."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    tapedeck_backup: Literal[1] = 1
    tapedeck: str = VERSION
    made_at: str = Field(description="RFC 3339, UTC", max_length=40)
    objects_version: int = Field(description="number of migrations of objects.db", ge=1)
    store_revision: str = Field(description="last migration of the store", max_length=40)
    postgres: int = Field(description="major version of the database", ge=1)
    resources: dict[str, int] = Field(description="number of resources by kind")
    parts: dict[str, Part]


@contextmanager
def new_archive(file: Path) -> Iterator[Path]:
    """A folder for the parts of a new archive, beside its place, which is removed at the end.

    Raises DeckError where the file exists or its folder cannot be written.
    """
    if file.exists() or file.is_symlink():
        raise DeckError(f"{file}: exists already, expected a new file; choose another name or move it away")
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{file.name}.", suffix=".unfinished", dir=file.parent))
    except OSError as error:
        raise DeckError(f"{file}: cannot be written: {error.strerror}") from None
    try:
        yield folder
    except OSError as error:
        raise DeckError(f"{file}: cannot be written: {error.strerror or error}; nothing was kept") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def describe_parts(folder: Path) -> dict[str, Part]:
    """Size and hash of each file of a folder. Raises DeckError for a file that is no part of a backup."""
    found: dict[str, Part] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            size, digest = _hash(file, path.stat().st_size)
        name = path.relative_to(folder).as_posix()
        if _NAME.fullmatch(name) is None:
            raise DeckError(f"{name}: got a file that no backup can hold, expected a name of letters and digits")
        found[name] = Part(size=size, sha256=digest)
    return found


def write_archive(file: Path, folder: Path, manifest: Manifest, pulse: Pulse) -> None:
    """Write the archive of a folder's parts, for its owner alone; the file appears once it is complete.

    Raises OSError.
    """
    unfinished = folder / ".archive"
    with open_private(unfinished, "wb") as output:
        with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
            content = manifest.model_dump_json(indent=1).encode()
            archive.addfile(_member(MANIFEST, len(content)), io.BytesIO(content))
            for name, part in manifest.parts.items():
                with (folder / name).open("rb") as source:
                    archive.addfile(_member(name, part.size), source)
                (folder / name).unlink()
                pulse(output.tell())
        output.flush()
        os.fsync(output.fileno())
    unfinished.rename(file)
    with _opened_folder(file.parent) as descriptor:
        os.fsync(descriptor)


class Archive:
    """An archive that has been read whole and found intact. The file stays open."""

    def __init__(self, file: Path, pulse: Pulse = lambda _: None) -> None:
        """Raises DeckError where the file is no backup, of a newer version, damaged or incomplete."""
        self._file = file
        self._pulse = pulse
        try:
            self._opened = file.open("rb")
        except OSError as error:
            raise DeckError(f"{file}: cannot be read: {error.strerror}") from None
        try:
            _check_magic(file, self._opened)
            with _named_damage(file), tarfile.open(fileobj=self._opened, mode="r:") as archive:
                self.manifest = self._read_manifest(archive)
                self._check_parts(archive)
        except BaseException:
            self._opened.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def extract(self, folder: Path) -> None:
        """Write the parts into a folder, for its owner alone. Raises DeckError, also where the file has changed."""
        self._opened.seek(0)
        with _named_damage(self._file), tarfile.open(fileobj=self._opened, mode="r:") as archive:
            for member in archive:
                if member.name == MANIFEST:
                    continue
                part = self.manifest.parts.get(member.name)
                source = archive.extractfile(member)
                if part is None or source is None or _NAME.fullmatch(member.name) is None:
                    raise DeckError(f"{self._file}: has changed while it was read; restore it again")
                self._write(folder / member.name, source, part)

    def _write(self, path: Path, source: IO[bytes], part: Part) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open_private(path, "xb") as output:
            found = _hash(source, part.size, output.write)
        if found != (part.size, part.sha256):
            raise DeckError(f"{self._file}: has changed while it was read; restore it again")
        self._pulse(self._opened.tell())

    def _read_manifest(self, archive: tarfile.TarFile) -> Manifest:
        first = archive.next()
        content = archive.extractfile(first) if first is not None and first.isreg() else None
        if first is None or content is None or first.name != MANIFEST or first.size > _MAX_MANIFEST:
            raise DeckError(f"{self._file}: {_NO_BACKUP}")
        text = content.read()
        try:
            header = _Header.model_validate_json(text)
            if header.tapedeck_backup > FORMAT:
                raise DeckError(
                    f"{self._file}: got a backup of format {header.tapedeck_backup} by Tapedeck {header.tapedeck}, "
                    f"expected at most {FORMAT}; use that version of Tapedeck or a later one"
                )
            manifest = Manifest.model_validate_json(text)
        except ValidationError as error:
            raise DeckError(
                f"{self._file}: its manifest is damaged ({error.error_count()} invalid fields); use another backup"
            ) from None
        wrong = sorted(name for name in manifest.parts if not _NAME.fullmatch(name))
        missing = sorted({OBJECTS, STORE} - set(manifest.parts))
        if wrong or missing:
            raise DeckError(f"{self._file}: its manifest is damaged (parts: {wrong or missing}); use another backup")
        return manifest

    def _check_parts(self, archive: tarfile.TarFile) -> None:
        left = dict(self.manifest.parts)
        for member in archive:
            if member.name == MANIFEST:
                continue
            part = left.pop(member.name, None)
            source = archive.extractfile(member) if member.isreg() else None
            if part is None or source is None or _hash(source, member.size) != (part.size, part.sha256):
                raise DeckError(
                    f"{self._file}: {member.name[:60]!r} is not what its manifest says: the file is damaged; "
                    "use another backup"
                )
            self._pulse(self._opened.tell())
        if left:
            raise DeckError(f"{self._file}: {', '.join(sorted(left))} is missing: {_INCOMPLETE}")


_NO_BACKUP = "got a file that is no backup, expected one that `tapedeck backup` wrote"
_INCOMPLETE = "the file is incomplete; copy it again or use another backup"


def _check_magic(file: Path, opened: IO[bytes]) -> None:
    """The file begins with the name of its first member."""
    magic = opened.read(len(MANIFEST))
    opened.seek(0)
    if not magic or not MANIFEST.encode().startswith(magic):
        raise DeckError(f"{file}: {_NO_BACKUP}")


@contextmanager
def _named_damage(file: Path) -> Iterator[None]:
    try:
        yield
    except tarfile.ReadError as error:
        truncated = "unexpected end" in str(error) or "truncated" in str(error)
        raise DeckError(f"{file}: {_INCOMPLETE if truncated else _NO_BACKUP}") from None
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise DeckError(f"{file}: the file is damaged ({error}); use another backup") from None


def _member(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, FILE
    return info


def _hash(file: IO[bytes], size: int, sink: Callable[[bytes], object] = lambda _: None) -> tuple[int, str]:
    """Length and SHA-256 of at most ``size`` bytes, which also go to ``sink``."""
    digest, read = sha256(), 0
    while read < size and (chunk := file.read(min(_CHUNK, size - read))):
        digest.update(chunk)
        sink(chunk)
        read += len(chunk)
    return read, digest.hexdigest()


@contextmanager
def _opened_folder(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def sizes(parts: Mapping[str, Part]) -> int:
    """The bytes of all parts."""
    return sum(part.size for part in parts.values())
