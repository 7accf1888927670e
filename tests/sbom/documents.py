"""One document for each artefact: an image, the embedded deck, the chart, and what developers install."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6

from sbom.components import ROOT, UNKNOWN, Part, broker_jars, images, npm_packages, python_packages
from tapedeck_common.version import VERSION

REQUIREMENTS = ROOT / "requirements"
PAGE_LOCK = ROOT / "workloads/gateway/web/package-lock.json"
# Image → the file with its Python packages.
IMAGES = {
    "operator": "operator", "feed": "feed", "replay": "replay", "transform": "replay", "backtest": "backtest",
    "recorder": "recorder", "gateway": "gateway",
}  # fmt: skip
BACKTEST_LICENCE = "Apache-2.0 AND GPL-3.0-or-later"  # its image contains Backtrader
_licences = LicenseFactory()


def artefacts() -> Iterator[tuple[str, list[Part]]]:
    """The name of each artefact, and its parts."""
    page = list(npm_packages(PAGE_LOCK, development=False))
    for name, requirements in IMAGES.items():
        dockerfile = ROOT / ("operator" if name == "operator" else "workloads") / "Dockerfile"
        packages = python_packages(REQUIREMENTS / f"{requirements}.txt")
        yield name, _unique(images(dockerfile), packages, page if name == "gateway" else ())
    yield "deck", _unique(python_packages(REQUIREMENTS / "deck.txt"), broker_jars(), page)
    yield "chart", _unique(images(ROOT / "charts/tapedeck/values.yaml"))
    tools = [
        python_packages(REQUIREMENTS / f"{name}.txt") for name in ("dev", "uv", "page", "audit", "docs", "release")
    ]
    yield "development", _unique(*tools, npm_packages(PAGE_LOCK, development=True), images(ROOT / "kind-config.yaml"))


def document(artefact: str, parts: Iterable[Part]) -> str:
    """The CycloneDX document of an artefact, as JSON."""
    whole = Component(
        name=f"tapedeck-{artefact}",
        version=VERSION,
        type=ComponentType.CONTAINER if artefact in IMAGES else ComponentType.APPLICATION,
        licenses=[_licences.make_from_string(BACKTEST_LICENCE if artefact == "backtest" else "Apache-2.0")],
    )
    components = [_component(part) for part in parts]
    bom = Bom(components=components, metadata=BomMetaData(component=whole))
    bom.register_dependency(whole, components)
    return str(JsonV1Dot6(bom).output_as_string(indent=2))


def licence_list(found: Iterable[tuple[str, list[Part]]]) -> str:
    """A line for each part: package URL, licence, and the artefacts with it. Tabs separate the columns."""
    users: dict[Part, list[str]] = {}
    for artefact, parts in found:
        for part in parts:
            users.setdefault(part, []).append(artefact)
    lines = sorted(f"{part.purl}\t{part.licence}\t{', '.join(names)}" for part, names in users.items())
    return "\n".join(["package\tlicence\tin", *lines, ""])


def _component(part: Part) -> Component:
    marker = [Property(name="tapedeck:marker", value=part.marker)] if part.marker else []
    return Component(
        name=part.purl.name,
        group=part.purl.namespace,
        version=part.purl.version,
        type=ComponentType.CONTAINER if part.image else ComponentType.LIBRARY,
        purl=part.purl,
        bom_ref=part.purl.to_string(),
        hashes=[HashType(alg=HashAlgorithm(algorithm), content=value) for algorithm, value in part.hashes],
        licenses=[] if part.licence == UNKNOWN else [_licences.make_from_string(part.licence)],
        properties=marker,
    )


def _unique(*sources: Iterable[Part]) -> list[Part]:
    return list({part.purl: part for part in chain(*sources)}.values())
