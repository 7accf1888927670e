"""The size of a folder that foreign code fills, and its deletion: it may be deep, keep its owner out, and change.

Paths are never put together: they can be longer than the kernel takes. Folders are opened one from another.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from pathlib import Path

ENTRIES_MAX = 10_000
DEPTH_MAX = 64
_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # deleted meanwhile, or something else has its name
# Without a time of access, by which code could see where the look is and move its files behind it.
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_NOATIME", 0)
FileId = tuple[int, int]


class TooDeep(Exception):
    """Folders are nested deeper than DEPTH_MAX."""


class FolderFiles:
    """What a folder holds: ``sizes`` has each file's bytes once, by device and inode. Links are not followed.

    Counting stops just beyond ENTRIES_MAX. Raises TooDeep, and OSError for a folder that cannot be read: code that
    makes one is not to be left uncounted.
    """

    def __init__(self, folder: Path) -> None:
        self.sizes: dict[FileId, int] = {}
        self.entries = 0
        opened = os.open(folder, _FOLDER)
        try:
            self._count(opened, DEPTH_MAX)
        finally:
            os.close(opened)

    def _count(self, folder: int, depth: int) -> None:
        for name in self._count_files(folder):
            if self.entries > ENTRIES_MAX:
                return
            if depth == 0:
                raise TooDeep
            try:
                opened = os.open(name, _FOLDER, dir_fd=folder)
            except OSError as error:
                if error.errno in _VANISHED:
                    continue
                raise
            try:
                self._count(opened, depth - 1)
            finally:
                os.close(opened)

    def _count_files(self, folder: int) -> list[str]:
        """The names of the folders in it."""
        folders = []
        with os.scandir(folder) as found:
            for entry in found:
                self.entries += 1
                if self.entries > ENTRIES_MAX:
                    break
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISDIR(status.st_mode):
                    folders.append(entry.name)
                else:
                    self.sizes[file_id(status)] = file_bytes(status)
        return folders


def file_id(status: os.stat_result) -> FileId:
    """What tells a file from others, whatever its names are."""
    return status.st_dev, status.st_ino


def file_bytes(status: os.stat_result) -> int:
    """Its length, or the space that it takes where that is more: space can be reserved beyond the end."""
    return max(status.st_size, status.st_blocks * 512)


def delete_folder(folder: Path) -> None:
    """Delete a folder and all in it, as far as the system lets it."""
    with contextlib.suppress(RecursionError):  # it is deep
        shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        with contextlib.suppress(OSError):
            _delete_flat(folder)


def _delete_flat(folder: Path) -> None:
    """Move what is nested into the folder itself until nothing is left: of any depth, with two descriptors."""
    folder.chmod(stat.S_IRWXU)
    root = os.open(folder, _FOLDER)
    try:
        while names := _names(root):
            for name in names:
                _delete_entry(root, name)
    finally:
        os.close(root)
    folder.rmdir()


def _delete_entry(root: int, name: str) -> None:
    if not _is_folder(root, name):
        os.unlink(name, dir_fd=root)
        return
    opened = _open_any(root, name)
    try:
        for inner in _names(opened):
            if _is_folder(opened, inner):
                os.chmod(inner, stat.S_IRWXU, dir_fd=opened)  # else it cannot be moved
                os.rename(inner, secrets.token_hex(16), src_dir_fd=opened, dst_dir_fd=root)
            else:
                os.unlink(inner, dir_fd=opened)
    finally:
        os.close(opened)
    os.rmdir(name, dir_fd=root)


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as found:
        return [entry.name for entry in found]


def _is_folder(folder: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


def _open_any(folder: int, name: str) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except PermissionError:
        os.chmod(name, stat.S_IRWXU, dir_fd=folder)
        return os.open(name, _FOLDER, dir_fd=folder)
