"""Positions and image to pixels: the sampler, with torch's semantics."""

import functools
from typing import Any, no_type_check

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Real

from stn_jax.sampling import checks
from stn_jax.sampling.divided import along_batch
from stn_jax.sampling.grids import pixel_scale
from stn_jax.sampling.interpolation import Run, neighbours, result_type
from stn_jax.sampling.padding import FillValue, check_padding, coverage, fill, pad
from stn_jax.sampling.weighted_sum import set_apart, weighted_sum

MODES = ("bilinear", "nearest")


@no_type_check
def grid_sample(
    images: Real[ArrayLike, "batch height width channels"],
    grid: Float[ArrayLike, "batch out_height out_width 2"],
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool = False,
    fill_value: FillValue = 0.0,
) -> Float[Array, "batch out_height out_width channels"]:
    """Reads images at the positions of a grid, as torch's `grid_sample` does.

    Args:
      images: float64, float32, float16, bfloat16 or integers, pixels channels-last.
      grid: positions (x, y) in float32 or float64; -1 and 1 are the image's edges.
      mode: bilinear or nearest.
      padding_mode: what lies outside: zeros (the fill value), border (the nearest pixel of the
        edge) or reflection (the image, mirrored).
      align_corners: whether -1 and 1 are the centres of the outermost pixels instead of the edges.
      fill_value: what lies outside with zeros padding; a number, or one for each channel. It is
        blended in over the last pixel, as torch blends in its 0.

    Returns:
      Crops in the images' type, or float32 for integers. At a position that is not finite, or so
      far away that no float32 can tell its pixel, they hold the fill value, the edge value (for
      border) or the first pixel (for reflection), and carry no gradient.

    Raises:
      TypeError: images are not numbers, or the grid is not float32 or float64.
      ValueError: a shape or an option is not one of the above.
    """
    images = checks.images_like("images", images)
    grid = checks.floating("grid", grid, ("batch", "out_height", "out_width", 2))
    if grid.dtype.itemsize < 4:
        raise TypeError(f"grid must be float32 or float64, got {grid.dtype}: too coarse")
    checks.same_batch("images", images, "grid", grid)
    sample = functools.partial(
        _sample,
        mode=mode,
        padding_mode=padding_mode,
        align_corners=align_corners,
        fill_value=fill_value,
    )
    return along_batch(sample, images, grid)


def _sample(images: Array, grid: Array, *, align_corners: bool, **options: Any) -> Array:
    height, width = images.shape[1:3]
    scale_x, scale_y = pixel_scale((height, width), align_corners)
    x, y = set_apart(
        grid[..., 0] * scale_x + (width - 1) / 2,
        grid[..., 1] * scale_y + (height - 1) / 2,
    )
    return sample_pixels(images, x, y, align_corners=align_corners, **options)


def sample_pixels(
    images: Array,
    x: Float[Array, "batch out_height out_width"],
    y: Float[Array, "batch out_height out_width"],
    *,
    mode: str,
    padding_mode: str,
    align_corners: bool,
    fill_value: FillValue,
) -> Array:
    """Reads images at pixel positions: 0 is the centre of the first pixel.

    The other arguments are those of `grid_sample`.
    """
    checks.choice("mode", mode, MODES)
    check_padding(padding_mode, fill_value, images)
    batch, height, width, channels = images.shape
    pixels = images.reshape(batch, height * width, channels)
    if mode == "nearest":
        x, y = lax.stop_gradient((x, y))
    size = (height, width)
    find_runs = functools.partial(
        _runs, size=size, mode=mode, padding_mode=padding_mode, align_corners=align_corners
    )
    values = weighted_sum(find_runs, pixels, x, y)
    if padding_mode == "zeros":
        values = fill(values, _covered(x, y, size, mode), fill_value)
    return values.astype(result_type(images))


def _runs(x, y, *, size, mode, padding_mode, align_corners) -> list[Run]:
    height, width = size
    inside_x = pad(x, width, padding_mode, align_corners)
    inside_y = pad(y, height, padding_mode, align_corners)
    if mode == "nearest":
        column, row = (jnp.round(inside).astype(jnp.int32) for inside in (inside_x, inside_y))
        runs = [Run(row * width + column, [jnp.ones_like(x)])]
    else:
        runs = neighbours(inside_x, inside_y, width, height)
    if padding_mode == "zeros":
        covered = _covered(x, y, size, mode)
        runs = [run.times(covered) for run in runs]
    return runs


def _covered(x, y, size, mode):
    if mode == "nearest":
        x, y = jnp.round(x), jnp.round(y)
    return coverage(x, y, size)
