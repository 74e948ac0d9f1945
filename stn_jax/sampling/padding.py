"""Positions outside the image: where they read instead, and how much of them is fill value."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Bool, Float

from stn_jax.sampling import checks
from stn_jax.sampling.interpolation import spread

FillValue = ArrayLike | Sequence[ArrayLike]

PADDING_MODES = ("zeros", "border", "reflection")
# Reflection of positions beyond it is meaningless in float32, which cannot tell their pixel.
FARTHEST_REFLECTION = 2.0**30


def pad(position: Array, length: int, padding_mode: str, align_corners: bool) -> Array:
    """Moves positions along an axis of `length` pixels into [0, length - 1].

    The gradient is torch's also in the ties: border and reflection have none exactly on the edge,
    and zeros has that of the pixel to the right.
    """
    if padding_mode == "reflection":
        position = _reflect(position, length, align_corners)
    return clamp(position, length, with_first=padding_mode == "zeros")


def clamp(position: Array, length: ArrayLike, *, with_first: bool = False) -> Array:
    """Moves positions into [0, length - 1]; those moved have no gradient, nor have those on an end.

    Args:
      position: positions; NaN goes to 0.
      length: number of pixels.
      with_first: let the gradient pass at 0.
    """
    after_start = position >= 0 if with_first else position > 0
    edge = jnp.where(position > 0, length - 1, 0).astype(position.dtype)
    return jnp.where(after_start & (position < length - 1), position, edge)


def _reflect(position: Array, length: int, align_corners: bool) -> Array:
    low, high = (0.0, length - 1.0) if align_corners else (-0.5, length - 0.5)
    if high == low:
        return jnp.zeros_like(position)
    near = jnp.abs(position) < FARTHEST_REFLECTION
    distance = jnp.abs(jnp.where(near, position, 0.0) - low)
    flips = lax.stop_gradient(jnp.floor(distance / (high - low)))
    rest = jnp.fmod(distance, high - low)
    reflected = jnp.where(flips % 2 == 0, rest + low, high - rest)
    return jnp.where(near, reflected, 0.0)


class Coverage(NamedTuple):
    """How much of the window around each position lies on the image.

    Attributes:
      part: the part, 0 to 1.
      on: whether all of it does. Neither this nor `off` holds in a tie, where the part's gradient
        is torch's: that of the pixel to the right.
      off: whether none of it does.
    """

    part: Float[Array, "batch height width"]
    on: Bool[Array, "batch height width"]
    off: Bool[Array, "batch height width"]


def coverage(
    x: Float[Array, "batch height width"],
    y: Float[Array, "batch height width"],
    size: tuple[int, int],
    window: tuple[ArrayLike, ArrayLike] = (1.0, 1.0),
) -> Coverage:
    """Coverage of an image of `size` (height, width) by windows of `window` (x, y) pixels.

    That of a window of one pixel is the weight that torch gives to pixels against zeros. Positions
    that are not finite are off the image.
    """
    height, width = size
    parts, on, off = zip(
        _axis_coverage(x, width, window[0]), _axis_coverage(y, height, window[1]), strict=True
    )
    return Coverage(parts[0] * parts[1], on[0] & on[1], off[0] | off[1])


def _axis_coverage(position: Array, length: int, window: ArrayLike) -> tuple[Array, Array, Array]:
    from_start = (position + 0.5) / window + 0.5
    to_end = (length - 0.5 - position) / window + 0.5
    on = (from_start >= 1) & (to_end > 1)
    off = ~((from_start >= 0) & (to_end > 0) & jnp.isfinite(position))
    part = jnp.where(from_start < 1, from_start, 1.0) + jnp.where(to_end <= 1, to_end, 1.0) - 1
    return jnp.where(off, 0.0, part), on, off


def fill(
    values: Float[Array, "batch height width channels"], covered: Coverage, fill_value: FillValue
) -> Float[Array, "batch height width channels"]:
    """Adds the fill value to values, as far as they are not covered.

    Args:
      values: already weighted by the covered part.
      covered: the coverage.
      fill_value: one number, or one for each channel.
    """
    colour = checks.per_channel("fill_value", fill_value, values).astype(values.dtype)
    # A NaN, be it the fill value or a pixel, would spread through a weight of 0.
    rest = jnp.where(covered.on[..., None], 0.0, spread(1 - covered.part, colour))
    return jnp.where(covered.off[..., None], colour[None, None, None], values + rest)
