"""Random numbers that are a function of what they are used for, and therefore the same in every pod."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tapedeck_common.store.bars import Floats, Ints

Words = npt.NDArray[np.uint64]
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1


def name_hashes(names: Sequence[str]) -> Words:
    """A 64-bit hash of each name, shape (n,)."""
    return np.array([int.from_bytes(hashlib.blake2b(n.encode(), digest_size=8).digest(), "big") for n in names], "u8")


def uniforms(seed: int, use: int, names: Words, ts: Ints) -> Floats:
    """Uniform numbers on [0, 1), one for each (name, ts): hashes of seed, use, name and ts. All shapes are (n,).

    ``use`` distinguishes what the numbers are used for. The hash is the finalizer of SplitMix64 (Steele, Lea & Flood
    2014, Fast splittable pseudorandom number generators), applied to one word after the other.
    """
    first = _mix(np.array([(seed * _GOLDEN + use) & _MASK], "u8"))
    mixed = _mix(_mix(first ^ names) + ts.astype(np.uint64) * np.uint64(_GOLDEN))
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(x: Words) -> Words:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
