"""Convolutions as XLA computes them, and two ways around what its CPU backend is slow at."""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

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


def convolve(
    images: Float[Array, "batch height width channel"],
    kernel: Float[Array, "rows columns channel feature"],
    padding: Padding,
    dtype: DTypeLike | None = None,
) -> Float[Array, "batch out_height out_width feature"]:
    """XLA's convolution, of the images' type or of `dtype`."""
    return lax.conv_general_dilated(
        images,
        kernel,
        (1, 1),
        padding,
        dimension_numbers=_LAYOUT,
        preferred_element_type=dtype,
    )


def convolve_on_cpu(
    images: Float[Array, "batch height width channel"],
    kernel: Float[Array, "rows columns channel feature"],
    padding: Padding,
) -> Float[Array, "batch out_height out_width feature"]:
    """The same by what is quickest on a CPU."""
    *window, channels, features = kernel.shape
    if channels == 1 and math.prod(window) <= FEW_PLACES:
        return _add_shifted(images, kernel, padding)
    keeps_rows = sum(padding.rows) == window[0] - 1
    narrow = images.shape[2] <= NARROW and min(channels, features) >= FEW_CHANNELS
    # Less than float32 is left to one library in any case.
    if keeps_rows and narrow and images.dtype.itemsize >= 4:
        return share_pixels(images, kernel, padding)
    return convolve(images, kernel, padding)


def share_pixels(
    images: Float[Array, "batch height width channel"],
    kernel: Float[Array, "rows columns channel feature"],
    padding: Padding,
) -> Float[Array, "batch height out_width feature"]:
    """Lets all cores work on images, where each row of output has its row of input.

    XLA keeps convolutions with more rows of output than of input from the library that divides
    columns. So there is one row more, which is left out again.
    """
    above, below = padding.rows
    return convolve(images, kernel, Padding((above, below + 1), padding.columns))[:, :-1]


def _add_shifted(images: Array, kernel: Array, padding: Padding) -> Array:
    """Multiplies and adds images of one channel, shifted by each place of the window."""
    # In bfloat16 each sum would be rounded, and not only the last, as XLA does.
    sums = jnp.promote_types(images.dtype, jnp.float32)
    padded = jnp.pad(images, ((0, 0), *padding, (0, 0))).astype(sums)
    rows, columns = (
        size - reach + 1 for size, reach in zip(padded.shape[1:3], kernel.shape[:2], strict=True)
    )
    total = sum(
        padded[:, row : row + rows, column : column + columns] * kernel[None, row, None, column]
        for row, column in np.ndindex(kernel.shape[:2])
    )
    return total.astype(images.dtype)
