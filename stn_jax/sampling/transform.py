"""Grid and sample in one: crops of a batch of photos, each by its own theta."""

import functools
from typing import Any, no_type_check

from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Real

from stn_jax.sampling import checks
from stn_jax.sampling.antialias import sample_antialiased
from stn_jax.sampling.divided import along_batch
from stn_jax.sampling.grids import (
    axis_coordinates,
    check_theta,
    map_points,
    pixel_scale,
    pixel_steps,
)
from stn_jax.sampling.padding import FillValue
from stn_jax.sampling.sampler import MODES, sample_pixels
from stn_jax.sampling.strides import local_strides


@no_type_check
def spatial_transform(
    images: Real[ArrayLike, "batch height width channels"],
    theta: Float[ArrayLike, "batch ..."],
    size: tuple[int, int],
    *,
    transform: str = "affine",
    antialias: bool = False,
    padding_mode: str = "zeros",
    align_corners: bool = False,
    fill_value: FillValue = 0.0,
    mode: str = "bilinear",
) -> Float[Array, "batch out_height out_width channels"]:
    """Samples images where theta says: grid and sampler in one.

    Args:
      images: float64, float32, float16, bfloat16 or integers, pixels channels-last.
      theta: [batch, 2, 3] for affine and attention, [batch, 3, 3] for projective, displacements
        [batch, K * K, 2] for tps.
      size: height and width of the output, in pixels.
      transform: affine, attention, projective or tps.
      antialias: where the map shrinks, smooth over about as many pixels as it shrinks to one. How
        much is smoothed carries no gradient. A map that shrinks in one direction more than in the
        other is smoothed in both as the first needs.
      padding_mode: what lies outside: zeros (the fill value), border (the nearest pixel of the
        edge) or reflection (the image, mirrored).
      align_corners: whether -1 and 1 are the centres of the outermost pixels instead of the edges.
      fill_value: what lies outside with zeros padding; a number, or one for each channel.
      mode: bilinear or nearest.

    Returns:
      Crops in the images' type, or float32 for integers.

    Raises:
      TypeError: images are not numbers, or theta is not floating-point.
      ValueError: a shape or an option is not one of the above, or `antialias` is asked of
        `nearest`.
    """
    images = checks.images_like("images", images)
    theta = check_theta(theta, transform)
    checks.same_batch("images", images, "theta", theta)
    sample = functools.partial(
        _sample,
        size=checks.output_size("size", size),
        transform=transform,
        antialias=antialias,
        mode=mode,
        padding_mode=padding_mode,
        align_corners=align_corners,
        fill_value=fill_value,
    )
    return along_batch(sample, images, theta)


def _sample(
    images: Array,
    theta: Array,
    *,
    size: tuple[int, int],
    transform: str,
    antialias: bool,
    mode: str,
    align_corners: bool,
    **padding: Any,
) -> Array:
    checks.choice("mode", mode, MODES)
    if antialias and mode != "bilinear":
        raise ValueError(f"antialias=True smooths, and mode={mode!r} does not: give up one of them")
    height, width = images.shape[1:3]
    rows, columns = (axis_coordinates(side, align_corners) for side in size)
    lattice = {
        "columns": columns,
        "rows": rows,
        "transform": transform,
        "scale": pixel_scale((height, width), align_corners),
    }
    x, y = map_points(theta, **lattice)
    x, y = x + (width - 1) / 2, y + (height - 1) / 2
    padding["align_corners"] = align_corners
    if not antialias:
        return sample_pixels(images, x, y, mode=mode, **padding)
    strides = local_strides(theta, steps=pixel_steps(size, align_corners), **lattice)
    return sample_antialiased(images, x, y, strides, **padding)
