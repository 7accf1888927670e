"""Which source a spec names."""

from __future__ import annotations

from pathlib import Path

from tapedeck.settings import Connections
from tapedeck_crds import ReplaySpec
from tapedeck_replay.tape import BadInput, Source


def source_of(spec: ReplaySpec, connections: Connections, files: Path, name: str) -> Source:
    """The source that the spec names."""
    if spec.source.store is not None:
        from tapedeck_replay.store_source import StoreSource

        return StoreSource(connections, spec.source.store, name)
    if spec.source.files is not None:
        from tapedeck_replay.file_source import FileSource

        return FileSource(spec.source.files, files)
    if spec.source.synthetic is not None:
        from tapedeck_replay.synthetic.source import SyntheticSource

        return SyntheticSource(spec.source.synthetic)
    raise BadInput("BadSpec", "source: got none, expected exactly one")
