"""Sampling without aliasing: reads a pyramid of the image at the level that fits the stride.

Williams, "Pyramidal Parametrics", 1983, with interpolation between two levels.
"""

import functools
import math

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from stn_jax.sampling.interpolation import Run, neighbours, result_type, share_out
from stn_jax.sampling.padding import FillValue, check_padding, clamp, coverage, fill, pad
from stn_jax.sampling.pyramid import build_levels
from stn_jax.sampling.strides import Strides
from stn_jax.sampling.weighted_sum import weighted_sum

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
    check_padding(padding_mode, fill_value, images)
    batch, height, width, channels = images.shape
    size, window = (height, width), (strides.along_x, strides.along_y)
    levels = build_levels(images)
    sizes = [level.shape[1:3] for level in levels]
    options = {"size": size, "padding_mode": padding_mode, "align_corners": align_corners}
    constants = (strides.largest, *window)
    image = images.reshape(batch, height * width, channels)
    find_runs = functools.partial(_image_runs, levels=len(levels), **options)
    values = weighted_sum(find_runs, image, x, y, constants)
    if levels:
        # All levels but the image itself, which stays in its own type and place, lie in one array:
        # two reads serve however many there are. What is beside the last pixel counts 0.
        pixels = [level.reshape(batch, math.prod(level.shape[1:3]), channels) for level in levels]
        pixels = jnp.concatenate([*pixels, jnp.zeros_like(pixels[-1])], axis=1)
        find_runs = functools.partial(_level_runs, sizes=sizes, **options)
        values = values + weighted_sum(find_runs, pixels, x, y, constants)
    if padding_mode == "zeros":
        values = fill(values, coverage(x, y, size, window), fill_value)
    return values.astype(result_type(images))


def _image_runs(x, y, stride, *window, levels, **options) -> list[Run]:
    x, y, covered = _inside(x, y, window, **options)
    height, width = options["size"]
    if levels:
        finer, share = _level(stride, levels)
        covered = covered * jnp.where(finer == 0, 1 - share, 0.0)
    return [run.times(covered) for run in neighbours(x, y, width, height)]


def _level_runs(x, y, stride, *window, sizes, **options) -> list[Run]:
    x, y, covered = _inside(x, y, window, **options)
    finer, share = _level(stride, len(sizes))
    rows, columns = np.array(sizes).T
    starts = np.cumsum(rows * columns) - rows * columns

    def around(level, part):
        place = level.astype(jnp.int32) - 1
        level_columns, level_rows = jnp.asarray(columns)[place], jnp.asarray(rows)[place]
        shrunk = jnp.exp2(-level)
        level_x, level_y = (
            clamp((position + 0.5) * shrunk - 0.5, length)
            for position, length in ((x, level_columns), (y, level_rows))
        )
        column, across = share_out(level_x, level_columns)
        row, down = share_out(level_y, level_rows)
        first = jnp.asarray(starts)[place] + row * level_columns + column
        below = first + jnp.where(level_rows > 1, level_columns, 0)
        return [
            Run(start, [weight * of_row * (covered * part) for weight in across])
            for start, of_row in zip((first, below), down, strict=True)
        ]

    finer_runs = around(jnp.maximum(finer, 1), jnp.where(finer == 0, 0.0, 1 - share))
    return finer_runs + around(finer + 1, share)


def _inside(x, y, window, *, size, padding_mode, align_corners):
    """Positions moved into the image, and the part of the window around them that is on it."""
    height, width = size
    covered = coverage(x, y, size, window) if padding_mode == "zeros" else 1.0
    inside_x = pad(x, width, padding_mode, align_corners)
    return inside_x, pad(y, height, padding_mode, align_corners), covered


def _level(stride, levels):
    """The finer of the two levels that fit a stride (0: the image), and the coarser one's share."""
    stride = jnp.maximum(jnp.minimum(stride, 2.0), LEVEL_STRIDE * stride)
    finer = jnp.clip(jnp.floor(jnp.log2(stride)), 0, levels - 1)
    return finer, jnp.clip(stride * jnp.exp2(-finer) - 1, 0, 1)
