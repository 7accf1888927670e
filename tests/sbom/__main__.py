"""``make sbom``: writes a document for each artefact, and the list of licences, into build/sbom."""

from __future__ import annotations

from sbom.components import ROOT, UNKNOWN
from sbom.documents import artefacts, document, licence_list

FOLDER = ROOT / "build" / "sbom"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    found = list(artefacts())
    for artefact, parts in found:
        (FOLDER / f"{artefact}.cdx.json").write_text(document(artefact, parts))
        unknown = sum(part.licence == UNKNOWN for part in parts)
        print(f"{FOLDER.relative_to(ROOT)}/{artefact}.cdx.json: {len(parts)} parts, {unknown} without a licence")
    (FOLDER / "licences.tsv").write_text(licence_list(found))


if __name__ == "__main__":
    main()
