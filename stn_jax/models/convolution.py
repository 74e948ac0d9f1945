"""Convolutions that are quick on a CPU, too, and their gradients."""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

PIECE_BYTES = 2**20
"""Of the images and the output's gradient, together, from which a part of a kernel's gradient is
computed at once: about what stays in the cache of one core."""

MOST_SIDE_BY_SIDE = 4
"""Pieces at most that are computed at the same time."""

NARROW = 96
"""Columns up to which the cores of a CPU share the pixels of images."""

FEW_PLACES = 9
"""Of a window: up to so many, images of one channel are shifted and added up."""

FEW_CHANNELS = 16
"""Channels or features; with fewer, sharing pixels does not pay."""

_LAYOUT = ("NHWC", "HWIO", "NHWC")


class Padding(NamedTuple):
    """Zeros around an image: rows (above, below) and columns (left, right)."""

    rows: tuple[int, int]
    columns: tuple[int, int]


def conv_general_dilated(
    images: Float[Array, "batch height width channel"],
    kernel: Float[Array, "rows columns _ feature"],
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    **options: Any,
) -> Float[Array, "batch out_height out_width feature"]:
    """`jax.lax.conv_general_dilated`, quicker on a CPU; for `flax.linen.Conv`.

    XLA's CPU backend has two libraries for convolutions. The one that it prefers divides the work
    by 64 columns and by blocks of features, and leaves all but one core idle where images are
    narrow. The other divides it by pixels and takes half the time there, on two cores
    (`_share_pixels`). Images of one channel suit neither (`_add_shifted`).

    XLA's CPU backend is slow at the convolution that makes a kernel's gradient: its window is a
    whole image, and its channels are the images, far apart in memory. Added up over pieces that
    stay in the cache, the gradient takes a third to half the time. In a loop (`train.accumulate`)
    that backend is quick in one layout only, in which both gradients are therefore written.

    The layout is Flax's, NHWC and HWIO. There is no forward mode (`jax.jvp`). A convolution with
    any other option than dimension numbers, or more padding than its window reaches, or of no image
    at all, is XLA's.
    """
    others = (value for name, value in options.items() if name != "dimension_numbers")
    if images.size and all(value in (None, 1, (1, 1)) for value in (*others, window_strides)):
        sides = _sides(images, kernel, padding)
        if all(
            0 <= zeros < reach
            for reach, side in zip(kernel.shape[:2], sides, strict=True)
            for zeros in side
        ):
            return _convolve(images, kernel, sides)
    return lax.conv_general_dilated(images, kernel, window_strides, padding, **options)


def _sides(images: Array, kernel: Array, padding: str | Sequence[tuple[int, int]]) -> Padding:
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(images.shape[1:3], kernel.shape[:2], (1, 1), padding)
    return Padding(*map(tuple, padding))


def _apply(images: Array, kernel: Array, padding: Padding, dtype: DTypeLike | None = None) -> Array:
    return lax.conv_general_dilated(
        images,
        kernel,
        (1, 1),
        padding,
        dimension_numbers=_LAYOUT,
        preferred_element_type=dtype,
    )


def _apply_on_cpu(images: Array, kernel: Array, padding: Padding) -> Array:
    *window, channels, features = kernel.shape
    if channels == 1 and math.prod(window) <= FEW_PLACES:
        return _add_shifted(images, kernel, padding)
    keeps_rows = sum(padding.rows) == window[0] - 1
    narrow = images.shape[2] <= NARROW and min(channels, features) >= FEW_CHANNELS
    # Less than float32 is left to one library in any case.
    if keeps_rows and narrow and images.dtype.itemsize >= 4:
        return _share_pixels(images, kernel, padding)
    return _apply(images, kernel, padding)


def _share_pixels(images: Array, kernel: Array, padding: Padding) -> Array:
    """Lets all cores work on narrow images.

    XLA keeps convolutions with more rows of output than of input from the library that divides
    columns. So there is one row more, which is left out again.
    """
    above, below = padding.rows
    return _apply(images, kernel, Padding((above, below + 1), padding.columns))[:, :-1]


def _add_shifted(images: Array, kernel: Array, padding: Padding) -> Array:
    """Multiplies and adds images of one channel, shifted by each place of the window."""
    padded = jnp.pad(images, ((0, 0), *padding, (0, 0)))
    rows, columns = (
        size - reach + 1 for size, reach in zip(padded.shape[1:3], kernel.shape[:2], strict=True)
    )
    return sum(
        padded[:, row : row + rows, column : column + columns] * kernel[None, row, None, column]
        for row, column in np.ndindex(kernel.shape[:2])
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(images: Array, kernel: Array, padding: Padding) -> Array:
    return lax.platform_dependent(
        images,
        kernel,
        cpu=functools.partial(_apply_on_cpu, padding=padding),
        default=functools.partial(_apply, padding=padding),
    )


def _forward(images: Array, kernel: Array, padding: Padding) -> tuple[Array, tuple[Array, Array]]:
    return _convolve(images, kernel, padding), (images, kernel)


def _backward(
    padding: Padding, inputs: tuple[Array, Array], cotangent: Array
) -> tuple[Array, Array]:
    def in_pieces(images: Array, kernel: Array, cotangent: Array) -> tuple[Array, Array]:
        of_kernel = _gradient_of_kernel(images, cotangent, kernel.shape[:2], padding)
        return _gradient_of_images(cotangent, kernel, padding), of_kernel.astype(kernel.dtype)

    def by_xla(images: Array, kernel: Array, cotangent: Array) -> tuple[Array, Array]:
        _, gradients = jax.vjp(functools.partial(_apply, padding=padding), images, kernel)
        return gradients(cotangent)

    return lax.platform_dependent(*inputs, cotangent, cpu=in_pieces, default=by_xla)


_convolve.defvjp(_forward, _backward)


def _gradient_of_images(cotangent: Array, kernel: Array, padding: Padding) -> Array:
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    rest = [
        (size - 1 - before, size - 1 - after)
        for size, (before, after) in zip(kernel.shape[:2], padding, strict=True)
    ]
    return _apply_on_cpu(cotangent, turned, Padding(*rest))


class _Band(NamedTuple):
    """`count` times `rows` rows of the output from `start` on, and the padding that they see."""

    start: int
    rows: int
    count: int
    padding: tuple[int, int]


def _gradient_of_kernel(
    images: Array, cotangent: Array, window: tuple[int, int], padding: Padding
) -> Array:
    """Adds up pieces: several images at once, or one, or bands of rows of one."""
    row = math.prod(images.shape[2:]) + math.prod(cotangent.shape[2:])
    rows_at_once = max(PIECE_BYTES // (row * images.dtype.itemsize), *window)
    images_at_once = _divisor(len(images), rows_at_once // cotangent.shape[1])

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
        return total + sum(_apply(*piece, zeros, total.dtype) for piece in pieces)

    total = jnp.zeros(
        (images.shape[3], *window, cotangent.shape[3]), jnp.promote_types(images.dtype, jnp.float32)
    )
    for band in _divide(cotangent.shape[1], rows_at_once, padding.rows):
        pieces = len(images) // images_at_once * band.count
        side_by_side = _divisor(pieces, MOST_SIDE_BY_SIDE)
        add_some = functools.partial(add, band=band, side_by_side=side_by_side)
        total = lax.fori_loop(0, pieces // side_by_side, add_some, total)
    return total.transpose(1, 2, 0, 3)


def _divisor(number: int, most: int) -> int:
    return next(each for each in range(max(min(number, most), 1), 0, -1) if number % each == 0)


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
