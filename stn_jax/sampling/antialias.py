"""Sampling without aliasing: reads a pyramid of the image at the level that fits the stride.

Williams, "Pyramidal Parametrics", 1983, with interpolation between two levels.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from stn_jax.sampling import checks
from stn_jax.sampling.interpolation import interpolate, result_type
from stn_jax.sampling.padding import PADDING_MODES, FillValue, clamp, fill_outside, pad
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
    values = _read_pyramid(images, inside_x, inside_y, strides.largest)
    if padding_mode == "zeros":
        window = strides.along_x, strides.along_y
        values = fill_outside(values, (x, y), (width, height), window, fill_value)
    return values.astype(result_type(images))


def _read_pyramid(images: Array, x: Array, y: Array, stride: Array) -> Array:
    """Interpolates at x and y between the two levels that fit the stride."""
    batch, height, width, channels = images.shape
    image = images.reshape(batch, height * width, channels)
    full = interpolate(image, x, y, width, height, 0)
    levels = build_levels(images)
    if not levels:
        return full
    stride = jnp.maximum(jnp.minimum(stride, 2.0), LEVEL_STRIDE * stride)
    finer = jnp.clip(jnp.floor(jnp.log2(stride)), 0, len(levels) - 1)
    share = jnp.clip(stride * jnp.exp2(-finer) - 1, 0, 1)[..., None]

    # All levels but the image itself, which stays in its own type and place, lie in one array:
    # two reads serve however many there are.
    pixels = jnp.concatenate([level.reshape(batch, -1, channels) for level in levels], axis=1)
    rows, columns = np.array([level.shape[1:3] for level in levels]).T
    starts = np.cumsum(rows * columns) - rows * columns

    def read(level):
        place = level.astype(jnp.int32) - 1
        size = jnp.asarray(columns)[place], jnp.asarray(rows)[place]
        shrunk = jnp.exp2(-level)
        level_x, level_y = (
            clamp((position + 0.5) * shrunk - 0.5, length)
            for position, length in zip((x, y), size, strict=True)
        )
        return interpolate(pixels, level_x, level_y, *size, jnp.asarray(starts)[place])

    fine = jnp.where(finer[..., None] == 0, full, read(jnp.maximum(finer, 1)))
    return (1 - share) * fine + share * read(finer + 1)
