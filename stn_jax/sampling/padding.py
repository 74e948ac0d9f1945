"""Positions outside the image: where they read instead, and how much of them is fill value."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float

from stn_jax.sampling import checks

FillValue = ArrayLike | Sequence[float]

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


def fill_outside(
    values: Float[Array, "batch height width channels"],
    positions: tuple[Array, Array],
    lengths: tuple[int, int],
    strides: tuple[ArrayLike, ArrayLike],
    fill_value: FillValue,
) -> Float[Array, "batch height width channels"]:
    """Replaces values by the fill value, as far as their positions are off the image.

    The window of one stride around a position decides it; with strides of 1 its part on the image
    is the weight that torch gives to pixels against zeros.

    Args:
      values: read inside the image, at the nearest position to the true one.
      positions: the true x and y, maybe outside the image or not finite.
      lengths: width and height of the image, in pixels.
      strides: size of the window in x and y, in pixels.
      fill_value: one number, or one for each channel.
    """
    covered, on, off = zip(*map(_coverage, positions, lengths, strides), strict=True)
    covered = (covered[0] * covered[1])[..., None]
    on, off = (on[0] & on[1])[..., None], (off[0] | off[1])[..., None]
    fill = checks.per_channel("fill_value", fill_value, values).astype(values.dtype)
    fill = fill[None, None, None]
    # A NaN, be it the fill value or a pixel, would spread through a weight of 0.
    mixed = covered * values + (1 - covered) * fill
    return jnp.where(on, values, jnp.where(off, fill, mixed))


def _coverage(position: Array, length: int, stride: ArrayLike) -> tuple[Array, Array, Array]:
    """Part of the window on the image, and whether it is all of it or none of it.

    The ties belong to neither: the part's gradient in them is torch's, that of the pixel to the
    right.
    """
    from_start = (position + 0.5) / stride + 0.5
    to_end = (length - 0.5 - position) / stride + 0.5
    on = (from_start >= 1) & (to_end > 1)
    off = ~((from_start >= 0) & (to_end > 0) & jnp.isfinite(position))
    part = jnp.where(from_start < 1, from_start, 1.0) + jnp.where(to_end <= 1, to_end, 1.0) - 1
    return jnp.where(off, 0.0, part), on, off
