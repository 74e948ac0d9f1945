"""The gradient of a kernel of few channels and features, one product a row of the window.

A matrix product of three channels with few features leaves most of a processor's lanes empty. The
pixels that a row of the window covers, side by side, are `columns` times as many.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from stn_jax.models.convolution.direct import Padding
from stn_jax.models.convolution.products import sum_of_products, sum_over_groups
from stn_jax.sampling.groups import largest_divisor

FEW_CHANNELS = 8
"""At most so many channels, ..."""

LEAST_COLUMNS = 8
"""... that with the window's columns make at least so many, ..."""

FEW_FEATURES = 32
"""... and at most so many features."""

CACHE_BYTES = 2**21
"""Of images with their neighbours, and of the output's gradient, that are multiplied at once."""


def suits_gradient(kernel: tuple[int, int, int, int]) -> bool:
    """Whether the gradient of a kernel of this shape is quicker so, on a CPU."""
    _, columns, channels, features = kernel
    few = channels <= FEW_CHANNELS and features <= FEW_FEATURES
    return few and channels * columns >= LEAST_COLUMNS


def gradient_of_kernel(
    images: Float[Array, "batch height width channel"],
    cotangent: Float[Array, "batch out_height out_width feature"],
    window: tuple[int, int],
    padding: Padding,
) -> Float[Array, "rows columns channel feature"]:
    """Adds up the products over groups of images."""
    (rows, columns), (height, width, features) = window, cotangent.shape[1:]
    side_by_side = columns * images.shape[3]
    of_image = height * width * (side_by_side + features) * images.dtype.itemsize

    def differentiate(images: Array, cotangent: Array) -> Array:
        padded = jnp.pad(images, ((0, 0), *padding, (0, 0)))
        neighbours = jnp.concatenate(
            [padded[:, :, first : first + width] for first in range(columns)], axis=3
        )
        return jnp.stack(
            [
                sum_of_products(cotangent, neighbours[:, first : first + height])
                for first in range(rows)
            ]
        )

    at_once = largest_divisor(len(images), CACHE_BYTES // of_image)
    total = sum_over_groups(differentiate, images, cotangent, at_once)
    return total.reshape(rows, features, columns, -1).transpose(0, 2, 3, 1)
