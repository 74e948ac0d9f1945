"""Convolutions of windows of three rows at half the multiplications.

Four rows of a convolution's output are made of six of its input. Computed one by one they take
three products of each row of weights with each row of pixels, twelve for every column of the
window. Winograd's minimal filtering F(4, 3) makes them of six: the six rows are combined into six
others, each of these is convolved with one combination of the weights' rows, a window of one row,
and the results are combined into the four. What the combinations cost is little where pixels have
many channels. Sums are rounded a little more: the largest error of a float32 is about three times
that of the plain sum.

S. Winograd, "Arithmetic Complexity of Computations", SIAM 1980; A. Lavin and S. Gray, "Fast
Algorithms for Convolutional Neural Networks", CVPR 2016, arXiv:1509.09308, whose matrices these
are. They apply them to rows and columns alike (a quarter of the multiplications); on rows alone
the convolutions that remain are XLA's, and a combination adds whole rows.
"""

import functools
import math
import operator
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from stn_jax.models.convolution import direct
from stn_jax.models.convolution.direct import Padding
from stn_jax.models.convolution.products import sum_of_products, sum_over_groups
from stn_jax.sampling.groups import largest_divisor

REACH = 3
"""Rows of a window."""

TILE = 4
"""Rows of the output that are made together."""

SEEN = TILE + REACH - 1
"""Rows that they are made of."""

CACHE_BYTES = 2**23
"""For the combinations of images that are convolved at once: about what a cache of all cores holds
beside other things. One image is never divided."""

FEW_CHANNELS = 24
"""Channels or features; with fewer, the combinations cost more than the multiplications."""

FEW_CHANNELS_OF_GRADIENT = 16
"""The same for the gradient of the kernel."""

MOST_BYTES_OF_GRADIENT = 2**25
"""Of the combinations of one image, from which the gradient of the kernel is quick."""

_INPUT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
_WEIGHTS = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
_OUTPUT = np.array(
    [
        [1, 1, 1, 1, 1, 0],
        [0, 1, -1, 2, -2, 0],
        [0, 1, 1, 4, 4, 0],
        [0, 1, -1, 8, -8, 1],
    ]
)


def suits(
    images: Float[Array, "batch height width channel"],
    kernel: tuple[int, int, int, int],
    padding: Padding,
) -> bool:
    """Whether a convolution with a kernel of this shape is quicker so, on a CPU."""
    return _saves(images, kernel, padding) and min(kernel[2:]) >= FEW_CHANNELS


def suits_gradient(
    images: Float[Array, "batch height width channel"],
    kernel: tuple[int, int, int, int],
    padding: Padding,
) -> bool:
    """Whether the gradient of such a kernel is."""
    fit = _bytes_of_image(images, padding, sum(kernel[2:])) <= MOST_BYTES_OF_GRADIENT
    return _saves(images, kernel, padding) and min(kernel[2:]) >= FEW_CHANNELS_OF_GRADIENT and fit


def convolve(
    images: Float[Array, "batch height width channel"],
    kernel: Float[Array, "3 columns channel feature"],
    padding: Padding,
) -> Float[Array, "batch out_height out_width feature"]:
    """XLA's convolution with stride 1, up to rounding."""
    return _convolve_combined(images, jnp.stack(_combine(_WEIGHTS, kernel)), padding)


def gradient_of_images(
    cotangent: Float[Array, "batch out_height out_width feature"],
    kernel: Float[Array, "3 columns channel feature"],
    padding: Padding,
) -> Float[Array, "batch height width channel"]:
    """The gradient of the images, up to rounding; `padding` is the cotangent's."""
    # Combined before they are transposed, so that XLA does not transpose them for every sum.
    weights = jnp.stack(_combine(_WEIGHTS[:, ::-1], kernel[:, ::-1])).swapaxes(2, 3)
    return _convolve_combined(cotangent, weights, padding)


def gradient_of_kernel(
    images: Float[Array, "batch height width channel"],
    cotangent: Float[Array, "batch out_height out_width feature"],
    window: tuple[int, int],
    padding: Padding,
) -> Float[Array, "3 columns channel feature"]:
    """The gradient of the kernel, added up over the images, up to rounding.

    The same three steps the other way round: what was combined in the end is spread, and what was
    convolved is multiplied and added up.
    """
    rows = cotangent.shape[1]
    tiles = _tiles(rows)

    def differentiate(images: Array, cotangent: Array) -> Array:
        filled = jnp.pad(cotangent, ((0, 0), (0, tiles * TILE - rows), (0, 0), (0, 0)))
        slopes = _combine(_OUTPUT.T, [filled[:, row::TILE] for row in range(TILE)])
        combined = _combine(_INPUT, _rows_of_tiles(images, tiles, padding))
        return jnp.stack(
            [
                sum_of_products(seen, _shifted(slope, window[1], padding.columns))
                for seen, slope in zip(combined, slopes, strict=True)
            ]
        )

    at_once = _images_at_once(images, padding, images.shape[3] + cotangent.shape[3])
    total = sum_over_groups(differentiate, images, cotangent, at_once)
    total = total.reshape(*total.shape[:2], window[1], -1).swapaxes(1, 2)
    return jnp.stack(_combine(_WEIGHTS.T, total))


def _convolve_combined(
    images: Float[Array, "batch height width channel"],
    weights: Float[Array, "6 columns channel feature"],
    padding: Padding,
) -> Float[Array, "batch out_height out_width feature"]:
    rows = _rows_of_output(images, padding)
    tiles = _tiles(rows)

    def convolve_some(images: Array) -> Array:
        products = []
        for seen, each in zip(
            _combine(_INPUT, _rows_of_tiles(images, tiles, padding)), weights, strict=True
        ):
            # All rows of all images as one image, so that all cores share its pixels.
            tall = seen.reshape(1, -1, *seen.shape[2:])
            product = direct.share_pixels(tall, each[None], Padding((0, 0), padding.columns))
            products.append(product.reshape(len(images), tiles, *product.shape[2:]))
        output = jnp.stack(_combine(_OUTPUT, products), axis=2)
        return output.reshape(len(images), tiles * TILE, *output.shape[3:])[:, :rows]

    at_once = _images_at_once(images, padding, sum(weights.shape[2:]))
    if at_once == len(images):
        return convolve_some(images)

    def convolve_next(number: Array, output: Array) -> Array:
        some = lax.dynamic_slice_in_dim(images, number * at_once, at_once)
        return lax.dynamic_update_slice_in_dim(output, convolve_some(some), number * at_once, 0)

    columns = images.shape[2] + sum(padding.columns) - weights.shape[1] + 1
    # Filled with whatever is there, not with zeros, which XLA would make early for all layers.
    output = jnp.full((len(images), rows, columns, weights.shape[3]), images[0, 0, 0, 0])
    return lax.fori_loop(0, len(images) // at_once, convolve_next, output)


def _saves(images: Array, kernel: tuple[int, int, int, int], padding: Padding) -> bool:
    """Whether it takes fewer multiplications, of numbers that may be rounded a little more.

    The number of images must be known (it is not where a model is exported for any number), so that
    they can be divided into groups.
    """
    rows = _rows_of_output(images, padding)
    fewer = SEEN * _tiles(rows) < REACH * rows
    known = isinstance(images.shape[0], int)
    return known and kernel[0] == REACH and fewer and images.dtype.itemsize >= 4


def _rows_of_output(images: Array, padding: Padding) -> int:
    return images.shape[1] + sum(padding.rows) - REACH + 1


def _tiles(rows: int) -> int:
    return math.ceil(rows / TILE)


def _rows_of_tiles(images: Array, tiles: int, padding: Padding) -> list[Array]:
    """The first row of every tile, the second, ... the last: [batch, tiles, width, channel] each.

    Zeros are where an image has no row.
    """
    above = padding.rows[0]
    below = tiles * TILE + SEEN - TILE - above - images.shape[1]
    padded = jnp.pad(images, ((0, 0), (above, below), (0, 0), (0, 0)))
    last = (tiles - 1) * TILE + 1
    return [padded[:, row : row + last : TILE] for row in range(SEEN)]


def _combine(matrix: np.ndarray, arrays: Sequence[Array] | Array) -> list[Array]:
    """One weighted sum of the arrays for each row of the matrix."""
    return [
        functools.reduce(
            operator.add,
            (float(weight) * array for weight, array in zip(row, arrays, strict=True) if weight),
        )
        for row in matrix
    ]


def _shifted(slope: Array, reach: int, columns: tuple[int, int]) -> Array:
    """The slopes that a column of pixels sees through each column of the window, side by side."""
    left, right = columns
    padded = jnp.pad(slope, ((0, 0), (0, 0), (reach - 1 - left, reach - 1 - right), (0, 0)))
    width = padded.shape[2] - reach + 1
    return jnp.concatenate(
        [padded[:, :, first : first + width] for first in reversed(range(reach))], axis=3
    )


def _images_at_once(images: Array, padding: Padding, channels: int) -> int:
    return largest_divisor(len(images), CACHE_BYTES // _bytes_of_image(images, padding, channels))


def _bytes_of_image(images: Array, padding: Padding, channels: int) -> int:
    """Of the combinations of one image, with `channels` before and after in all."""
    rows = SEEN * _tiles(_rows_of_output(images, padding))
    return rows * images.shape[2] * channels * images.dtype.itemsize
