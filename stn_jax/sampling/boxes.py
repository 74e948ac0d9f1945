"""The area of interest: where on the photo the crop's corners lie."""

from typing import no_type_check

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from stn_jax.sampling import checks
from stn_jax.sampling.grids import check_theta, map_points, pixel_scale


@no_type_check
def theta_to_box(
    theta: Float[ArrayLike, "batch ..."],
    photo_size: tuple[int, int],
    *,
    transform: str = "affine",
    align_corners: bool = False,
) -> Float[Array, "batch 4 2"]:
    """Corners of the area that theta samples, in photo pixels.

    Args:
      theta: [batch, 2, 3] for affine and attention, [batch, 3, 3] for projective, displacements
        [batch, K * K, 2] for tps.
      photo_size: height and width of the photo, in pixels.
      transform: affine, attention, projective or tps.
      align_corners: as given to the sampler.

    Returns:
      (x, y) of the crop's top-left, top-right, bottom-right and bottom-left corner. Pixel (0, 0)
      spans 0 to 1, so the identity gives (0, 0), (width, 0), (width, height), (0, height).
      Infinite for a corner behind the camera of a homography.
    """
    theta = check_theta(theta, transform)
    size = height, width = checks.output_size("photo_size", photo_size)
    ends = np.array([-1.0, 1.0])
    scale = pixel_scale(size, align_corners)
    x, y = map_points(theta, ends, ends, transform=transform, scale=scale)
    corners = jnp.stack([x + width / 2, y + height / 2], axis=-1).reshape(-1, 4, 2)
    return corners[:, np.array([0, 1, 3, 2])]
