"""Positions outside the image: where they read instead, and how much of them is fill value."""

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

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


def coverage(position: Array, length: int, stride: ArrayLike) -> Array:
    """Part of a window of `stride` pixels around each position that lies on the image.

    With stride 1 it is torch's weight of the pixels against the zeros; none of a position that is
    not finite is covered.
    """
    from_start = (position + 0.5) / stride + 0.5
    to_end = (length - 0.5 - position) / stride + 0.5
    # Which end of a ramp is open decides the gradient in the ties; these are torch's.
    from_start = jnp.where(from_start >= 1, 1.0, jnp.where(from_start >= 0, from_start, 0.0))
    to_end = jnp.where(to_end > 1, 1.0, jnp.where(to_end > 0, to_end, 0.0))
    return jnp.where(jnp.isfinite(position), from_start + to_end - 1, 0.0)


def blend(values: Array, covered: Array, fill_value: ArrayLike) -> Array:
    """Mixes values, channels last, with the fill value where not all is covered."""
    covered = covered[..., None]
    fill = jnp.broadcast_to(jnp.asarray(fill_value, values.dtype), values.shape[3:])
    mixed = covered * values + (1 - covered) * fill[None, None, None]
    # Not only for speed: a fill value that is NaN must stay outside.
    return jnp.where(covered == 1, values, mixed)
