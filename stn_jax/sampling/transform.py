"""Grid and sample in one: crops of a batch of photos, each by its own theta."""

from typing import no_type_check

from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Real

from stn_jax.sampling import checks
from stn_jax.sampling.antialias import sample_antialiased
from stn_jax.sampling.grids import axis_coordinates, check_theta, map_points
from stn_jax.sampling.padding import FillValue
from stn_jax.sampling.sampler import sample_pixels
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
    out_height, out_width = checks.output_size("size", size)
    height, width = images.shape[1:3]
    shrink = 1 if align_corners else 0
    lattice = {
        "columns": axis_coordinates(out_width, align_corners),
        "rows": axis_coordinates(out_height, align_corners),
        "transform": transform,
        "scale": ((width - shrink) / 2, (height - shrink) / 2),
    }
    x, y = map_points(theta, **lattice)
    x, y = x + (width - 1) / 2, y + (height - 1) / 2
    padding = {
        "padding_mode": padding_mode,
        "align_corners": align_corners,
        "fill_value": fill_value,
    }
    if not antialias:
        return sample_pixels(images, x, y, mode=mode, **padding)
    if mode == "nearest":
        raise ValueError("antialias=True smooths, and mode='nearest' does not: give up one of them")
    steps = tuple(2 / max(length - shrink, 1) for length in (out_width, out_height))
    return sample_antialiased(images, x, y, local_strides(theta, steps=steps, **lattice), **padding)
