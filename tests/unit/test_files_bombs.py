"""Small files that grow large: each is refused with the limit in the message, in little memory and time."""

from __future__ import annotations

import io
import json
import struct
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attack import archive_bombs
from attack.bombs import FILE_BOMBS, NAME_BOMBS, problem
from tapedeck_common.files import InvalidFiles
from tapedeck_common.files.content.decompression import gzip_content
from tapedeck_common.files.content.tar import TarReader
from tapedeck_common.files.content.unpacking import unpack
from tapedeck_common.files.content.zstd import ZstdContent
from tapedeck_common.files.tables.arrow_limits import check_batches
from tapedeck_common.files.tables.flatbuffer import FlatTable
from tapedeck_common.files.tables.json_bounds import DEPTH_MAX, BoundedJson
from tapedeck_common.files.tables.parquet_limits import PageLimits


@pytest.mark.slow
@pytest.mark.parametrize("bomb", [*FILE_BOMBS, *NAME_BOMBS])
def test_bombs(tmp_path: Path, bomb: str) -> None:
    assert problem(bomb, tmp_path) is None


def unpacked(name: str, content: bytes) -> dict[str, bytes]:
    return {each.name: each.stream.read() for each in unpack(name, io.BytesIO(content), len(content))}


def test_the_same_file_many_times_in_a_zip_counts_each_time() -> None:
    content = archive_bombs.overlapping_zip()
    with pytest.raises(InvalidFiles, match=r"a\.zip: expands to more than 500 times its size"):
        for each in unpack("a.zip", io.BytesIO(content), len(content)):
            each.stream.read()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_of_a_tar_are_those_of_the_library(form: int) -> None:
    out = io.BytesIO()
    names = ["a.csv", "ä/b.csv", "long/" * 30 + "c.csv", "x" * (90 if form == tarfile.USTAR_FORMAT else 300), "e/é.csv"]
    with tarfile.open(fileobj=out, mode="w", format=form, pax_headers={"comment": "of all"}) as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "n" * (90 if form == tarfile.USTAR_FORMAT else 300)
        archive.addfile(folder)
        for number, name in enumerate(names):
            archive.addfile(link)
            member = tarfile.TarInfo(name)
            member.size = number * 300
            member.mtime = 1.5  # an attribute in the format pax
            archive.addfile(member, io.BytesIO(b"%d" % number * member.size))
    out.seek(0)
    found = [(each.name, each.stream.read()) for each in TarReader("a.tar", out).members()]
    assert found == [(name, b"%d" % number * (number * 300)) for number, name in enumerate(names)]
    out.seek(0)
    assert [each.name for each in TarReader("a.tar", out).members()] == names, "members that nobody reads are skipped"


@pytest.mark.parametrize(
    "records", [b"\n", b"5 a=", b"0 a=\n", b"-1 a=\n", b"99 a=1\n", b"a=1\n", b"2 a=1\n", b"1" * 30]
)
def test_attributes_that_are_none(records: bytes) -> None:
    content = archive_bombs.tar_member("a", records, tarfile.XHDTYPE) + archive_bombs.tar_member()
    with pytest.raises(tarfile.ReadError, match="invalid header"):
        list(TarReader("a.tar", io.BytesIO(content)).members())


def test_a_tar_that_ends_within_a_file() -> None:
    content = archive_bombs.tar_header("a.csv", tarfile.REGTYPE, 10_000) + b"a" * 600
    with pytest.raises(tarfile.ReadError, match="unexpected end"):
        unpacked("a.tar", content)


def test_streams_of_gzip_one_after_the_other_and_what_is_behind_them() -> None:
    parts = archive_bombs.gzipped(b"a\n", b"b\n", 3, b"c\n")
    assert gzip_content(io.BytesIO(parts + bytes(700)), "a.gz").read() == b"a\nb\nb\nb\nc\n"
    with pytest.raises(InvalidFiles, match=r"a\.gz: cannot be read: Error -3 .* incorrect header check"):
        gzip_content(io.BytesIO(parts + b"behind"), "a.gz").read()
    with pytest.raises(InvalidFiles, match=r"a\.gz: cannot be read: it ends within compressed data"):
        gzip_content(io.BytesIO(parts[:-3]), "a.gz").read()


@pytest.mark.parametrize("level", [1, 19])
def test_frames_of_zstd_are_read_to_their_end(level: int) -> None:
    text = b"".join(b"%d\n" % number for number in range(100_000))
    frame = pa.Codec("zstd", level).compress(text, asbytes=True)
    skippable = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"12345"
    content = frame + skippable + frame
    assert io.BufferedReader(ZstdContent(io.BytesIO(content), "a.zst")).read() == 2 * text


def depth_is_held(text: bytes, size: int) -> bool:
    """Whether a text is read in parts of a size."""
    bounded = BoundedJson(io.BytesIO(text), "a.json")
    try:
        while bounded.read(size):
            pass
    except InvalidFiles as error:
        assert "nested more than 100 deep" in str(error)
        return True
    return False


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 65_536])
def test_brackets_in_texts_are_no_depth(size: int) -> None:
    texts = ["[" * 500, '"{' * 500, "\\" * 501 + '"[', '\\"[', "]" * 500 + "\\"]
    honest = json.dumps([{text: text, "a": [texts]} for text in texts] * 3).encode()
    assert not depth_is_held(honest, size)
    assert not depth_is_held(b"[" * 50 + b"]" * 50 + b"[[1]]" * 1_000, size)
    for opening in (b"[", b'[1,"]]",', b'{"a\\\\":', b'{"\\"}":', b"[[],{},"):
        assert depth_is_held(honest + opening * (DEPTH_MAX + 1), size), opening


def test_parquet_columns_in_the_same_place(tmp_path: Path) -> None:
    pq.write_table(pa.table({"open": [1.0, 2.0]}), tmp_path / "a.parquet")
    metadata = pq.read_metadata(tmp_path / "a.parquet")
    with (tmp_path / "a.parquet").open("rb") as stream:
        limits = PageLimits("a.parquet", stream, ["open"], [])
        limits.check(metadata, 0)
        with pytest.raises(InvalidFiles, match="pages of more bytes than the file has"):
            for _ in range(100):
                limits.check(metadata, 0)


def test_arrow_batches_with_heads_in_the_same_place() -> None:
    out = io.BytesIO()
    batch: Any = pa.record_batch({"open": [1.0, 2.0]})
    with pa.ipc.new_file(out, batch.schema) as writer:
        writer.write_batch(batch)
    content = bytearray(out.getvalue())
    check_batches("a.arrow", io.BytesIO(content))
    length = int.from_bytes(content[-10:-6], "little")
    ((offset, head, _),) = FlatTable(bytes(content[-10 - length : -10])).structs(3, "<qi4xq", 24)
    place = content.rindex(struct.pack("<qi", offset, head))
    struct.pack_into("<qi", content, place, offset, 1_000_000)
    with pytest.raises(InvalidFiles, match="got heads of batches of more bytes than the file has"):
        check_batches("a.arrow", io.BytesIO(content))
