"""Shrinking by a whole factor: the mean of each block of pixels."""

from typing import no_type_check

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Real

from stn_jax.sampling import checks


@no_type_check
def area_average(
    images: Real[ArrayLike, "batch height width channels"], factor: int
) -> Float[Array, "batch small_height small_width channels"]:
    """Means over blocks of factor x factor pixels, in float32.

    Raises:
      TypeError: images are not numbers.
      ValueError: factor is no whole number from 1, or height or width is not a multiple of it.
    """
    images = checks.images_like("images", images)
    factor = checks.whole_number("factor", factor)
    batch, height, width, channels = images.shape
    if height % factor or width % factor:
        raise ValueError(
            f"images of shape {images.shape} cannot be cut into blocks of {factor} pixels a side"
        )
    # One side after the other: JAX can tell how each is divided over devices.
    bands = images.reshape(batch, height // factor, factor, width, channels)
    blocks = bands.reshape(*bands.shape[:3], width // factor, factor, channels)
    return jnp.mean(blocks.astype(jnp.float32), axis=(2, 4))
