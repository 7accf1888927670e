"""What foreign code may use: files to read, one folder to write, and amounts."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import zoneinfo
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/etc/ld.so.cache")
_SYSTEM = ("/etc/localtime", "/dev/zero", "/dev/random", "/dev/urandom", "/sys/devices/system/cpu")
MIB = 2**20


@dataclass(frozen=True)
class SandboxPolicy:
    """Foreign code reads ``readable`` (its own files and data) and the interpreter's files, and writes ``scratch``.

    It cannot read the folders ``hidden``, even where they lie in a readable one; of the folders above a hidden one it
    can read what exists now. A readable path in a hidden folder is readable: name it exactly.
    Of the folders in ``listable`` it may read the names, which an import of a module in them needs.
    Amounts are bytes, seconds of processor time, and open descriptors; None is no limit. ``descriptors`` stay open.
    ``environment`` is the whole environment.
    """

    scratch: Path
    readable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    listable: tuple[Path, ...] = ()
    descriptors: tuple[int, ...] = (0, 1, 2)
    environment: Mapping[str, str] = field(default_factory=dict)
    memory_bytes: int | None = None
    file_bytes: int = 64 * MIB
    cpu_seconds: int | None = None
    open_files: int = 256


def interpreter_files() -> Iterator[Path]:
    """What Python and its installed packages are read from: also packages that are installed from a working tree."""
    paths = sysconfig.get_paths()
    yield from (Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    yield from (Path(name) for name in (*site.getsitepackages(), *_LIBRARIES, *_SYSTEM, *zoneinfo.TZPATH))
    if site.ENABLE_USER_SITE:
        yield Path(site.getusersitepackages())
    yield Path(sys.base_prefix, "lib", f"python{sys.version_info.major}{sys.version_info.minor}.zip")
    yield from (Path(sys.prefix, "pyvenv.cfg"), Path(os.path.realpath(sys.executable)))
    if library := sysconfig.get_config_var("LDLIBRARY"):
        yield Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib", library)
    for name in ("PYTHONPATH", "LD_LIBRARY_PATH"):
        yield from (Path(part) for part in os.environ.get(name, "").split(os.pathsep) if part)
    for name, module in list(sys.modules.items()):
        if "." not in name:
            yield from map(Path, getattr(module, "__path__", ()))
