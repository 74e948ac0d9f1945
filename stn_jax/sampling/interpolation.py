"""The pixels that bilinear interpolation reads, and their weights."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Float, Int

Taps = tuple[list[Array], list[Array]]
"""The pixels that each output pixel reads: their weights, then their indices."""


def result_type(images: Array) -> DTypeLike:
    """Type of the crops: that of the images, or float32 for integers."""
    return images.dtype if jnp.issubdtype(images.dtype, jnp.floating) else jnp.dtype(jnp.float32)


def neighbours(
    x: Float[Array, "batch height width"],
    y: Float[Array, "batch height width"],
    columns: Int[ArrayLike, "..."],
    rows: Int[ArrayLike, "..."],
    start: Int[ArrayLike, "..."] = 0,
) -> Taps:
    """The four pixels around each position, and their bilinear weights.

    Args:
      x: positions in [0, columns - 1]; 0 is the centre of the first pixel.
      y: positions in [0, rows - 1].
      columns: width of the image, one for all positions or one for each.
      rows: its height.
      start: index of its first pixel; the others follow row by row.
    """
    left, top = jnp.floor(x), jnp.floor(y)
    column, row = left.astype(jnp.int32), top.astype(jnp.int32)
    right = jnp.minimum(column + 1, columns - 1)
    upper, lower = start + row * columns, start + jnp.minimum(row + 1, rows - 1) * columns
    to_right, to_lower = x - left, y - top
    to_left, to_upper = 1 - to_right, 1 - to_lower
    indices = [upper + column, upper + right, lower + column, lower + right]
    weights = [to_left * to_upper, to_right * to_upper, to_left * to_lower, to_right * to_lower]
    return weights, indices
