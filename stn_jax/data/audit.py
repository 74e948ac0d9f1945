"""The same photo twice: found by content and by appearance."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from stn_jax.data.photo import Pixels

HASH_BITS = 64
MAX_DISTANCE = 6
"""Photos whose 64-bit hashes differ in more bits than this are never called near duplicates."""
MAX_DIFFERENCE = 6.0
"""Nor are those whose thumbnails differ by more levels (of 255, root mean square)."""
THUMBNAIL = 16


@dataclasses.dataclass(frozen=True)
class Print:
    """What is kept of a photo to find it again: equal for equal pixels.

    Attributes:
      bits: 64-bit difference hash: is each of 8x8 patches darker than its right neighbour.
      thumbnail: 16x16 RGB.
    """

    bits: UInt8[np.ndarray, "8"]
    thumbnail: UInt8[np.ndarray, "16 16 3"]


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two photos that are the same, or look the same."""

    first: int
    second: int
    kind: Literal["exact", "near"]


def make_print(pixels: Pixels) -> Print:
    """Takes the prints of a photo at the configured size, without padding."""
    image = Image.fromarray(pixels)
    image = image.reduce(max(1, min(image.size) // 64))
    grey = image.convert("L").resize((9, 8), Image.Resampling.BOX)
    levels = np.asarray(grey).astype(np.int16)
    small = image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return Print(bits=np.packbits(levels[:, :-1] < levels[:, 1:]), thumbnail=np.asarray(small))


def find_duplicates(prints: Sequence[Print], read_pixels: Callable[[int], Pixels]) -> list[Pair]:
    """Finds every pair of photos with equal pixels or near enough appearance, in order.

    Args:
      prints: of every photo.
      read_pixels: reads those of a photo by its place; asked only where prints are equal.
    """
    near = set(_near(prints))
    exact = _exact(near, prints, read_pixels)
    near -= exact
    pairs = [Pair(i, j, "exact") for i, j in exact] + [Pair(i, j, "near") for i, j in near]
    return sorted(pairs, key=lambda pair: (pair.first, pair.second))


def _exact(
    near: set[tuple[int, int]], prints: Sequence[Print], read_pixels: Callable[[int], Pixels]
) -> set[tuple[int, int]]:
    @functools.cache
    def digest(place: int) -> tuple[tuple[int, ...], bytes]:
        pixels = read_pixels(place)
        return pixels.shape, hashlib.sha256(np.ascontiguousarray(pixels)).digest()

    def equal(first: int, second: int) -> bool:
        one, other = prints[first], prints[second]
        return np.array_equal(one.thumbnail, other.thumbnail) and digest(first) == digest(second)

    return {pair for pair in near if equal(*pair)}


def _near(prints: Sequence[Print]) -> Iterator[tuple[int, int]]:
    if len(prints) < 2:
        return
    bits = np.unpackbits(np.stack([one.bits for one in prints]), axis=1)
    thumbnails = np.stack([one.thumbnail for one in prints]).reshape(len(prints), -1)
    for first, second in _candidates(bits):
        difference = thumbnails[first].astype(np.float32) - thumbnails[second]
        if np.sqrt(np.mean(difference**2)) <= MAX_DIFFERENCE:
            yield first, second


def _candidates(bits: UInt8[np.ndarray, "n 64"]) -> set[tuple[int, int]]:
    """Pairs whose hashes differ in at most MAX_DISTANCE bits.

    Two hashes with at most d different bits agree wholly in one of d + 1 bands (pigeonhole), so
    only photos that share a band are compared: nearly linear where all pairs would be quadratic.
    """
    pairs = set()
    for band in np.array_split(np.arange(HASH_BITS), MAX_DISTANCE + 1):
        _, bucket = np.unique(bits[:, band], axis=0, return_inverse=True)
        order = np.argsort(bucket.ravel(), kind="stable")
        ends = np.flatnonzero(np.diff(bucket.ravel()[order])) + 1
        for members in np.split(order, ends):
            for position, first in enumerate(members[:-1]):
                rest = members[position + 1 :]
                close = (bits[first] != bits[rest]).sum(axis=1) <= MAX_DISTANCE
                pairs.update((int(first), int(second)) for second in rest[close])
    return pairs
