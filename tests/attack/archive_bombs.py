"""Small archives and compressed files that ask for much memory or time."""

from __future__ import annotations

import gzip
import io
import lzma
import random
import tarfile
import zipfile
import zlib
from collections.abc import Callable

MIB = 2**20
T0 = 1_522_800_000_000
CSV = b"ts,open,high,low,close,volume\n" + b"".join(b"%d,1,2,1,1,1\n" % (T0 + n * 60_000) for n in range(3))


_NOISE = random.Random(1).randbytes(1_200_000).replace(b"\0", b"0")


def gzipped(head: bytes, part: bytes, times: int, tail: bytes = b"") -> bytes:
    """A file of gzip of a part so many times: it takes a moment to make.

    Its header has a long name, so that the file is too large for what it expands to to be refused for that alone.
    """
    first = gzip.compress(head)
    named = first[:3] + b"\x08" + first[4:10] + _NOISE + b"\0" + first[10:]
    return named + gzip.compress(part) * times + (gzip.compress(tail) if tail else b"")


def tar_header(name: str, kind: bytes, size: int) -> bytes:
    """The header of a member of a tar."""
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


def _ended(content: bytes) -> bytes:
    return content + bytes(2 * tarfile.BLOCKSIZE)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % tarfile.BLOCKSIZE)


def tar_member(name: str = "a.csv", content: bytes = CSV, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A member of a tar."""
    return tar_header(name, kind, len(content)) + _padded(content)


def long_header(kind: bytes, part: bytes = b"a" * MIB) -> Callable[[], bytes]:
    """A tar with a name, or attributes, of 250 MiB."""
    head = tar_header("././@LongLink", kind, 250 * MIB)
    return lambda: gzipped(head, part, 250, _ended(tar_member()))


def many_long_headers(kind: bytes) -> Callable[[], bytes]:
    """A tar with 300 headers of 1 MiB before its member."""
    text = b"%d a=" % MIB
    one = tar_member("././@LongLink", text + b"1" * (MIB - len(text)), kind)
    return lambda: gzipped(b"", one, 300, _ended(tar_member()))


def folders() -> bytes:
    """A tar of a million folders."""
    return gzipped(b"", tar_header("a/", tarfile.DIRTYPE, 0) * 2_000, 500, _ended(tar_member()))


def long_member_name() -> bytes:
    """A tar of a file whose name has 300,000 suffixes."""
    name = b"a" + b".aa" * 300_000 + b"!\0"
    return gzip.compress(_ended(tar_member("././@LongLink", name, tarfile.GNUTYPE_LONGNAME) + tar_member()))


def sparse(head: bytes) -> bytes:
    """A tar of 10 KB with a file of 8 GiB, of which it has the first block."""
    header = bytearray(tar_header("a.csv", tarfile.GNUTYPE_SPARSE, tarfile.BLOCKSIZE))
    header[386:410] = b"%011o\0%011o\0" % (0, tarfile.BLOCKSIZE)
    header[483:495] = b"%011o\0" % (8 * 2**30 - 1)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return _ended(bytes(header) + _padded(head + b"\n")).ljust(10_240, b"\0")


def sparse_by_attributes() -> bytes:
    """The same by attributes of the format pax."""
    records = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n34 GNU.sparse.realsize=8000000000\n"
    return _ended(tar_member("a.csv", records, tarfile.XHDTYPE) + tar_member("a.csv", _padded(b"1\n0\n512\n") + CSV))


def xz_with_dictionary(code: int) -> Callable[[], bytes]:
    """A file of xz whose header asks for a dictionary: 38 is 2 GiB, 40 is 4 GiB."""

    def made() -> bytes:
        content = bytearray(lzma.compress(CSV))
        size = 4 * (content[12] + 1)  # of the block's header, behind that of the stream
        place = content.index(b"\x21\x01", 12) + 2  # the filter LZMA2 and the length of its properties
        content[place] = code
        content[12 + size - 4 : 12 + size] = zlib.crc32(content[12 : 12 + size - 4]).to_bytes(4, "little")
        return bytes(content)

    return made


def gzip_name() -> bytes:
    """A name of 100 MiB in the header of a file of gzip, which is compressed itself."""
    whole = gzip.compress(CSV)
    return gzipped(whole[:3] + b"\x08" + whole[4:10], b"a" * MIB, 100, b"\0" + whole[10:])


def empty_streams(stream: bytes, head: bytes) -> bytes:
    """Millions of compressed files without content one after the other, compressed."""
    return gzipped(head, stream * (MIB // len(stream)), 300)


def zstd_frame(window: int, block: bytes, count: int) -> bytes:
    """A frame of zstd with so many equal blocks, and the descriptor of a window: 0x88 is 128 MiB."""
    return b"\x28\xb5\x2f\xfd\x00" + bytes([window]) + block * count + b"\x01\x00\x00"


def overlapping_zip() -> bytes:
    """A zip whose directory has the same file 10,000 times: 10 GB."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"<!" + b"\n" * MIB)
    content = out.getvalue()
    start = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    directory = content[start:end] * 10_000
    counts = (10_000).to_bytes(2, "little") * 2
    tail = counts + len(directory).to_bytes(4, "little") + start.to_bytes(4, "little") + b"\0\0"
    return content[:start] + directory + b"PK\x05\x06\0\0\0\0" + tail
