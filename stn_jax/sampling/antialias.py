"""Sampling without aliasing: reads a pyramid of the image at the level that fits the stride.

Williams, "Pyramidal Parametrics", 1983, with interpolation between two levels.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from stn_jax.sampling import checks
from stn_jax.sampling.interpolation import neighbours, result_type, weighted_sum
from stn_jax.sampling.padding import PADDING_MODES, FillValue, clamp, coverage, fill, pad
from stn_jax.sampling.pyramid import build_levels
from stn_jax.sampling.strides import Strides

# From stride 2 on, the level that comes closest to a triangle filter as wide as two strides (what
# `jax.image.resize` applies) is that of 0.75 strides. Up to 2, less smoothing would let half of the
# pixels' own frequencies through.
LEVEL_STRIDE = 0.75


def sample_antialiased(
    images: Array,
    x: Float[Array, "batch out_height out_width"],
    y: Float[Array, "batch out_height out_width"],
    strides: Strides,
    *,
    padding_mode: str,
    align_corners: bool,
    fill_value: FillValue,
) -> Array:
    """Reads images at pixel positions, smoothed over about the stride of the map there.

    The other arguments are those of `sample_pixels`; with strides of 1 the result is its, too.
    """
    checks.choice("padding_mode", padding_mode, PADDING_MODES)
    height, width = images.shape[1:3]
    inside_x = pad(x, width, padding_mode, align_corners)
    inside_y = pad(y, height, padding_mode, align_corners)
    if padding_mode != "zeros":
        values = _read_pyramid(images, inside_x, inside_y, strides.largest, 1.0)
        return values.astype(result_type(images))
    covered = coverage(x, y, (height, width), (strides.along_x, strides.along_y))
    values = _read_pyramid(images, inside_x, inside_y, strides.largest, covered.part)
    return fill(values, covered, fill_value).astype(result_type(images))


def _read_pyramid(images: Array, x: Array, y: Array, stride: Array, weight: ArrayLike) -> Array:
    """Interpolates at x and y between the two levels that fit the stride; multiplies by weight."""
    batch, height, width, channels = images.shape
    image = images.reshape(batch, height * width, channels)
    levels = build_levels(images)
    if not levels:
        return weighted_sum(image, *_weighted(neighbours(x, y, width, height), weight))
    stride = jnp.maximum(jnp.minimum(stride, 2.0), LEVEL_STRIDE * stride)
    finer = jnp.clip(jnp.floor(jnp.log2(stride)), 0, len(levels) - 1)
    share = jnp.clip(stride * jnp.exp2(-finer) - 1, 0, 1)
    from_image = jnp.where(finer == 0, 1 - share, 0.0)
    from_finer = jnp.where(finer == 0, 0.0, 1 - share)

    # All levels but the image itself, which stays in its own type and place, lie in one array:
    # two reads serve however many there are.
    pixels = jnp.concatenate([level.reshape(batch, -1, channels) for level in levels], axis=1)
    rows, columns = np.array([level.shape[1:3] for level in levels]).T
    starts = np.cumsum(rows * columns) - rows * columns

    def around(level):
        place = level.astype(jnp.int32) - 1
        size = jnp.asarray(columns)[place], jnp.asarray(rows)[place]
        shrunk = jnp.exp2(-level)
        level_x, level_y = (
            clamp((position + 0.5) * shrunk - 0.5, length)
            for position, length in zip((x, y), size, strict=True)
        )
        return neighbours(level_x, level_y, *size, jnp.asarray(starts)[place])

    fine = _weighted(neighbours(x, y, width, height), weight * from_image)
    finer_level = _weighted(around(jnp.maximum(finer, 1)), weight * from_finer)
    coarser_level = _weighted(around(finer + 1), weight * share)
    both = [a + b for a, b in zip(finer_level, coarser_level, strict=True)]
    return weighted_sum(image, *fine) + weighted_sum(pixels, *both)


def _weighted(taps: tuple[list[Array], list[Array]], weight: ArrayLike):
    indices, weights = taps
    return indices, [w * weight for w in weights]
