"""Positions outside the image: where they read instead, and how much of them is fill value."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike
from jaxtyping import Float

from stn_jax.sampling import checks

FillValue = ArrayLike | Sequence[ArrayLike]

PADDING_MODES = ("zeros", "border", "reflection")
# Reflection of positions beyond it is meaningless in float32, which cannot tell their pixel.
FARTHEST_REFLECTION = 2.0**30


def check_padding(padding_mode: str, fill_value: FillValue, images: Array) -> None:
    """Raises ValueError where a padding of images is not known or its fill value does not fit.

    Also where nothing is filled: a value that cannot be meant is a mistake in any mode.
    """
    checks.choice("padding_mode", padding_mode, PADDING_MODES)
    checks.per_channel("fill_value", fill_value, images)


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
    span = high - low
    near = jnp.abs(position) < FARTHEST_REFLECTION
    # There and back. The number of turns as a quotient may be rounded to one less, to read the
    # opposite edge of the image.
    rest = jnp.fmod(jnp.abs(jnp.where(near, position, 0.0) - low), 2 * span)
    reflected = jnp.where(rest < span, rest + low, high - (rest - span))
    return jnp.where(near, reflected, 0.0)


def coverage(
    x: Float[Array, "batch height width"],
    y: Float[Array, "batch height width"],
    size: tuple[int, int],
    window: tuple[ArrayLike, ArrayLike] = (1.0, 1.0),
) -> Float[Array, "batch height width"]:
    """The part, 0 to 1, of the window around each position that lies on the image.

    That of a window of one pixel is the weight that torch gives to pixels against zeros, and has
    torch's gradient in the ties too: that of the pixel to the right.

    Args:
      x: positions in pixels; those that are not finite are off the image.
      y: the same.
      size: height and width of the image.
      window: its width (x) and height (y), in pixels.
    """
    height, width = size
    return _axis_coverage(x, width, window[0]) * _axis_coverage(y, height, window[1])


def _axis_coverage(position: Array, length: int, window: ArrayLike) -> Array:
    from_start = (position + 0.5) / window + 0.5
    to_end = (length - 0.5 - position) / window + 0.5
    on = (from_start >= 0) & (to_end > 0)  # neither holds for NaN
    part = jnp.where(from_start < 1, from_start, 1.0) + jnp.where(to_end <= 1, to_end, 1.0) - 1
    return jnp.where(on, part, 0.0)


def fill(
    values: Float[Array, "batch height width channels"],
    covered: Float[Array, "batch height width"],
    fill_value: FillValue,
) -> Float[Array, "batch height width channels"]:
    """Adds the fill value to values, as far as they are not covered.

    Args:
      values: already weighted by the covered part.
      covered: the part, 0 to 1.
      fill_value: one number, or one for each channel.
    """
    colour = checks.per_channel("fill_value", fill_value, values).astype(values.dtype)
    return _fill(values, covered, colour)


@jax.custom_jvp
def _fill(values, covered, colour):
    rest = 1 - covered
    return _where_positive(covered, values) + _where_positive(rest, _outer(rest, colour))


@functools.partial(_fill.defjvp, symbolic_zeros=True)
def _fill_jvp(primals, tangents):
    values, covered, colour = primals
    values_dot, covered_dot, colour_dot = tangents
    out_dot = jnp.zeros((), values.dtype)
    if not isinstance(values_dot, SymbolicZero):
        out_dot = out_dot + values_dot
    if not isinstance(covered_dot, SymbolicZero):
        # The colour is negated and not the whole: that would, in the transpose, negate the crops'
        # gradient, of which each channel is read apart, and no loop that does is vectorised.
        # A fill that is not finite, to mark the outside, has no slope.
        slopes = jnp.where(jnp.isfinite(colour), colour, 0.0)
        out_dot = out_dot + jnp.stack([covered_dot * -slope for slope in slopes], axis=-1)
    if not isinstance(colour_dot, SymbolicZero):
        # Zeros, so that inside `jax.shard_map` the slope varies over devices as the values do.
        out_dot = out_dot + _outer(1 - covered, colour_dot) + jnp.zeros_like(values)
    return _fill(values, covered, colour), out_dot


def _outer(weight, colour):
    return weight[..., None] * colour[None, None, None]


def _where_positive(weight, values):
    """Values where their weight is positive, and 0 elsewhere, also in place of a NaN.

    Positive means more than a number next to 0, another one for each channel: the same for all
    would let LLVM move the choice out of the loop over channels, as a branch around the reads of
    the pixels, which then are no longer vectorised: sampling would take 2.6 times as long.
    """
    next_to_0 = float(jnp.finfo(values.dtype).tiny) * np.arange(1, values.shape[-1] + 1)
    some = weight[..., None] > jnp.asarray(next_to_0, values.dtype)[None, None, None]
    return jnp.where(some, values, 0.0)
