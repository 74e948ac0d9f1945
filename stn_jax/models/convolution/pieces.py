"""The gradient of a convolution's kernel, added up over pieces that stay in the cache."""

import functools
import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from stn_jax.models.convolution import direct
from stn_jax.models.convolution.direct import Padding
from stn_jax.sampling.groups import largest_divisor

PIECE_BYTES = 2**20
"""Of the images and the output's gradient, together, from which a part of a kernel's gradient is
computed at once: about what stays in the cache of one core."""

MOST_SIDE_BY_SIDE = 4
"""Pieces at most that are computed at the same time."""


class _Band(NamedTuple):
    """`count` times `rows` rows of the output from `start` on, and the padding that they see."""

    start: int
    rows: int
    count: int
    padding: tuple[int, int]


def gradient_of_kernel(
    images: Float[Array, "batch height width channel"],
    cotangent: Float[Array, "batch out_height out_width feature"],
    window: tuple[int, int],
    padding: Padding,
) -> Float[Array, "rows columns channel feature"]:
    """Adds up pieces: several images at once, or one, or bands of rows of one."""
    row = math.prod(images.shape[2:]) + math.prod(cotangent.shape[2:])
    rows_at_once = max(PIECE_BYTES // (row * images.dtype.itemsize), *window)
    images_at_once = largest_divisor(len(images), rows_at_once // cotangent.shape[1])

    def add(index: Array, total: Array, band: _Band, side_by_side: int) -> Array:
        pieces = []
        for number in range(side_by_side):
            image, row = jnp.divmod(index * side_by_side + number, band.count)
            image, row = image * images_at_once, band.start + row * band.rows
            first = row - (padding.rows[0] - band.padding[0])
            reach = band.rows + window[0] - 1 - sum(band.padding)
            seen = _cut(images, (image, first), (images_at_once, reach))
            of_output = _cut(cotangent, (image, row), (images_at_once, band.rows))
            # The channels become the batch, and the images the channels.
            pieces.append((seen.transpose(3, 1, 2, 0), of_output.transpose(1, 2, 0, 3)))
        # Cut first, the pieces can be computed side by side.
        pieces = lax.optimization_barrier(pieces)
        zeros = Padding(band.padding, padding.columns)
        return total + sum(direct.convolve(*piece, zeros, total.dtype) for piece in pieces)

    total = jnp.zeros(
        (images.shape[3], *window, cotangent.shape[3]), jnp.promote_types(images.dtype, jnp.float32)
    )
    for band in _divide(cotangent.shape[1], rows_at_once, padding.rows):
        pieces = len(images) // images_at_once * band.count
        side_by_side = largest_divisor(pieces, MOST_SIDE_BY_SIDE)
        add_some = functools.partial(add, band=band, side_by_side=side_by_side)
        total = lax.fori_loop(0, pieces // side_by_side, add_some, total)
    return total.transpose(1, 2, 0, 3)


def _divide(rows: int, at_once: int, padding: tuple[int, int]) -> list[_Band]:
    """Divides rows of the output into the first band, those alike in the middle, and the last."""
    above, below = padding
    height = max(math.ceil(rows / math.ceil(rows / at_once)), above)
    middle = (rows - below) // height - 1
    if middle < 0:
        return [_Band(0, rows, 1, padding)]
    end = height * (middle + 1)
    bands = [
        _Band(0, height, 1, (above, 0)),
        _Band(height, height, middle, (0, 0)),
        _Band(end, rows - end, 1, (0, below)),
    ]
    return [band for band in bands if band.rows and band.count]


def _cut(array: Array, start: tuple[Array, Array], size: tuple[int, int]) -> Array:
    return lax.dynamic_slice(array, (*start, 0, 0), (*size, *array.shape[2:]))
