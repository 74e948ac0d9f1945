"""Sums of weighted pixels, and the weights of bilinear interpolation."""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Float, Int, Real

# Up to so many channels are written out where a gradient adds them up.
FEW_CHANNELS = 4


def result_type(images: Array) -> DTypeLike:
    """Type of the crops: that of the images, or float32 for integers."""
    return images.dtype if jnp.issubdtype(images.dtype, jnp.floating) else jnp.dtype(jnp.float32)


def neighbours(
    x: Float[Array, "batch height width"],
    y: Float[Array, "batch height width"],
    columns: Int[ArrayLike, "..."],
    rows: Int[ArrayLike, "..."],
    start: Int[ArrayLike, "..."] = 0,
) -> tuple[list[Int[Array, "batch height width"]], list[Float[Array, "batch height width"]]]:
    """Indices of the four pixels around each position, and their bilinear weights.

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
    return indices, weights


def take(
    pixels: Real[Array, "batch pixels channels"], index: Int[Array, "batch height width"]
) -> Real[Array, "batch height width channels"]:
    """Pixels by their index, which must be in bounds, in their own type."""
    read = jax.vmap(
        lambda pixels, index: pixels.at[index].get(
            mode="promise_in_bounds", wrap_negative_indices=False
        )
    )
    return read(pixels, index)


@jax.custom_jvp
def weighted_sum(
    pixels: Real[Array, "batch pixels channels"],
    indices: list[Int[Array, "batch height width"]],
    weights: list[Float[Array, "batch height width"]],
) -> Float[Array, "batch height width channels"]:
    """Sums pixels, each times its weight, in float32 or better.

    Pixels are converted after they are read: an image of bytes is never converted whole.
    """
    return _sum([take(pixels, index) for index in indices], weights)


@functools.partial(weighted_sum.defjvp, symbolic_zeros=True)
def _weighted_sum_jvp(primals, tangents):
    pixels, indices, weights = primals
    pixels_dot, _, weights_dot = tangents
    # XLA would otherwise compute the indices, read the pixels and sum them all over again for each
    # gradient.
    indices, weights = lax.optimization_barrier((indices, weights))
    taps = lax.optimization_barrier([take(pixels, index) for index in indices])
    out_dot = jnp.zeros((), jnp.float32)
    if not isinstance(weights_dot[0], SymbolicZero):
        out_dot = sum(_by_channel(_widen(t, w), w) for t, w in zip(taps, weights_dot, strict=True))
    if not isinstance(pixels_dot, SymbolicZero):
        out_dot = out_dot + _sum_at_once(pixels_dot, indices, weights)
    return lax.optimization_barrier(_sum(taps, weights)), out_dot


def _sum(taps, weights):
    return sum(_widen(tap, w) * w[..., None] for tap, w in zip(taps, weights, strict=True))


def _sum_at_once(pixels, indices, weights):
    """The same sum of pixels by one gather, whose transpose is one scatter.

    XLA on a CPU takes half as long again for a scatter for each tap.
    """
    weight = jnp.concatenate(weights, axis=1)
    each = _widen(take(pixels, jnp.concatenate(indices, axis=1)), weight) * weight[..., None]
    return sum(jnp.split(each, len(indices), axis=1))


def _widen(tap, weight):
    floats = jnp.promote_types(result_type(tap), jnp.float32)
    return tap.astype(jnp.promote_types(floats, weight.dtype))


@jax.custom_jvp
def spread(
    weight: Float[Array, "batch height width"],
    colour: Float[Array, " channels"],
) -> Float[Array, "batch height width channels"]:
    """A colour times weights; nothing where the weight is 0, even of a colour that is NaN."""
    weight = weight[..., None]
    return jnp.where(weight == 0, 0.0, weight * colour[None, None, None])


@functools.partial(spread.defjvp, symbolic_zeros=True)
def _spread_jvp(primals, tangents):
    weight, colour = primals
    weight_dot, colour_dot = tangents
    out_dot = jnp.zeros((), weight.dtype)
    if not isinstance(weight_dot, SymbolicZero):
        out_dot = _by_channel(colour[None, None, None], weight_dot)
    if not isinstance(colour_dot, SymbolicZero):
        out_dot = out_dot + spread(weight, colour_dot)
    return spread(weight, colour), out_dot


def _by_channel(pixels, weight):
    """Pixels times a weight, whose gradient is a sum over channels.

    XLA on a CPU takes 4 to 8 times as long to reduce an axis of length 3 as to add up three slices,
    so few channels are written out.
    """
    if pixels.shape[-1] > FEW_CHANNELS:
        return pixels * weight[..., None]
    channels = (pixels[..., c] * weight for c in range(pixels.shape[-1]))
    return jnp.stack(list(channels), axis=-1)
