"""Bilinear interpolation: which pixels a position reads, and how much each counts."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Float, Int


class Run(NamedTuple):
    """Pixels side by side in a row, of which every output pixel reads one run.

    Attributes:
      start: index of the first of them.
      weights: how much each counts, the first one first.
    """

    start: Int[Array, "batch height width"]
    weights: list[Float[Array, "batch height width"]]

    def times(self, factor: Float[ArrayLike, "..."]) -> "Run":
        """The run with every weight multiplied."""
        return Run(self.start, [weight * factor for weight in self.weights])


def result_type(images: Array) -> DTypeLike:
    """Type of the crops: that of the images, or float32 for integers."""
    return images.dtype if jnp.issubdtype(images.dtype, jnp.floating) else jnp.dtype(jnp.float32)


def neighbours(
    x: Float[Array, "batch height width"],
    y: Float[Array, "batch height width"],
    columns: int,
    rows: int,
) -> list[Run]:
    """The pixels around each position, and their bilinear weights.

    Args:
      x: positions in [0, columns - 1]; 0 is the centre of the first pixel.
      y: positions in [0, rows - 1].
      columns: width of the image.
      rows: its height.
    """
    column, across = share_out(x, columns)
    row, down = share_out(y, rows)
    if columns == 1:
        across = across[:1]
    if rows == 1:
        down = down[:1]
    # Bounding the first index says again what is so, but LLVM sees from it that the others are in
    # bounds, too: the pixels then are one address and constants, a tenth quicker to read.
    last = columns * (rows - len(down)) + columns - len(across)
    first = jnp.clip(row * columns + column, 0, last)
    return [
        Run(first + number * columns, [weight * of_row for weight in across])
        for number, of_row in enumerate(down)
    ]


def share_out(
    position: Float[Array, "batch height width"], length: Int[ArrayLike, "..."]
) -> tuple[Int[Array, "batch height width"], list[Float[Array, "batch height width"]]]:
    """The first of the two pixels of an axis that a position lies between, and both weights.

    Args:
      position: positions in [0, length - 1].
      length: number of pixels; where it is 1 the second weight is 0.
    """
    # Of the position's type, because the converter to ONNX makes float64 of whole numbers.
    last = jnp.asarray(length - 2, position.dtype)
    first = jnp.maximum(jnp.minimum(jnp.floor(position), last), 0.0)
    share = position - first
    return first.astype(jnp.int32), [1 - share, share]
