"""Times as parameters of a statement, in Postgres' binary format of arrays, without an object for each."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

from tapedeck_recorder.rows.copy_binary import PG_EPOCH_MS

_TIMESTAMPTZ, _TIMESTAMPTZ_ARRAY = 1184, 1185  # oids of the types


class TimestampArray(bytes):
    """A value of timestamptz[]."""


def timestamp_array(times: npt.NDArray[np.int64]) -> TimestampArray:
    """Times, milliseconds UTC, as a parameter."""
    elements = np.empty(len(times), [("length", ">i4"), ("value", ">i8")])
    elements["length"] = 8
    elements["value"] = (times - PG_EPOCH_MS) * 1000
    # One dimension that counts from 1, without nulls.
    return TimestampArray(struct.pack(">iiiii", 1, 0, _TIMESTAMPTZ, len(times), 1) + elements.tobytes())


class _TimestampArrayDumper(Dumper):
    format = Format.BINARY
    oid = _TIMESTAMPTZ_ARRAY

    def dump(self, obj: Any) -> bytes:
        return bytes(obj)


psycopg.adapters.register_dumper(TimestampArray, _TimestampArrayDumper)
