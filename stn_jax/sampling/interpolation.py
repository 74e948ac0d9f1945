"""Sums of weighted pixels, and the weights of bilinear interpolation."""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Float, Int, Real

Taps = tuple[list[Array], list[Array]]
"""The pixels that each output pixel reads: their weights, then their indices."""

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


def take(
    pixels: Real[Array, "batch pixels channels"], index: Int[Array, "batch height width"]
) -> Real[Array, "batch height width channels"]:
    """Pixels by their index, which must be in bounds, in their own type."""
    return jax.vmap(lambda pixels, index: _in_bounds(pixels.at[index]))(pixels, index)


def _take_channel(pixels, index, channel):
    return jax.vmap(lambda pixels, index: _in_bounds(pixels.at[index, channel]))(pixels, index)


def _in_bounds(at):
    return at.get(mode="promise_in_bounds", wrap_negative_indices=False)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def weighted_sum(
    taps: Callable[..., Taps],
    pixels: Real[Array, "batch pixels channels"],
    x: Float[Array, "batch height width"],
    y: Float[Array, "batch height width"],
    constants: Sequence[Array] = (),
) -> Float[Array, "batch height width channels"]:
    """Sums the pixels around each position, each times its weight, in float32 or better.

    Pixels are converted after they are read: an image of bytes is never converted whole.

    Args:
      taps: gives the taps for x, y and the constants.
      pixels: images, row by row.
      x: positions, in whatever unit `taps` takes.
      y: the same.
      constants: what else the taps depend on; carries no gradient.
    """
    weights, indices = taps(x, y, *constants)
    return _sum([take(pixels, index) for index in indices], [w[..., None] for w in weights])


@functools.partial(weighted_sum.defjvp, symbolic_zeros=True)
def _weighted_sum_jvp(taps, primals, tangents):
    pixels, x, y, constants = primals
    pixels_dot, x_dot, y_dot, _ = tangents
    out = weighted_sum(taps, pixels, x, y, constants)
    out_dot = jnp.zeros((), out.dtype)
    # Read again, the pixels need no memory in between, which on a CPU costs more than the reads.
    pixels, x, y, constants = lax.optimization_barrier((pixels, x, y, constants))
    if not (isinstance(x_dot, SymbolicZero) and isinstance(y_dot, SymbolicZero)):
        out_dot = out_dot + _moved(taps, pixels, x, y, constants, _complex(x_dot, y_dot))
    if not isinstance(pixels_dot, SymbolicZero):
        weights, indices = taps(x, y, *constants)
        out_dot = out_dot + _sum_at_once(pixels_dot, indices, weights)
    return out, out_dot


def _moved(taps, pixels, x, y, constants, move):
    """Change of a weighted sum when its positions move.

    A move is one complex number, x + iy: its transpose, the gradient of the positions, then is one
    array, for which XLA's CPU backend makes one loop that reads each pixel once.
    """
    slopes, indices = _slopes(lambda x, y: taps(x, y, *constants), x, y)
    channels = pixels.shape[-1]
    if channels > FEW_CHANNELS:
        slope = _sum([take(pixels, index) for index in indices], [s[..., None] for s in slopes])
        return jnp.real(slope * move[..., None])
    # XLA's CPU backend takes many times as long to reduce an axis of length 3 as to add up three.
    of_channel = (
        _sum([_take_channel(pixels, index, channel) for index in indices], slopes)
        for channel in range(channels)
    )
    return jnp.stack([jnp.real(slope * move) for slope in of_channel], axis=-1)


def _slopes(taps, x, y):
    """Derivatives of the weights by a move, of which the product with it has the change as real."""
    one, zero = jnp.ones_like(x), jnp.zeros_like(x)
    _, along_x, indices = jax.jvp(taps, (x, y), (one, zero), has_aux=True)
    _, along_y, _ = jax.jvp(taps, (x, y), (zero, one), has_aux=True)
    return [lax.complex(a, -b) for a, b in zip(along_x, along_y, strict=True)], indices


def _sum(pixels, weights):
    return sum(_widen(tap, w) * w for tap, w in zip(pixels, weights, strict=True))


def _complex(x_dot, y_dot):
    x_dot, y_dot = (
        jnp.zeros(dot.shape, dot.dtype) if isinstance(dot, SymbolicZero) else dot
        for dot in (x_dot, y_dot)
    )
    return lax.complex(x_dot, y_dot)


def _sum_at_once(pixels, indices, weights):
    """The same sum of pixels by one gather, whose transpose is one scatter.

    XLA on a CPU takes half as long again for a scatter for each tap.
    """
    weight = jnp.concatenate(weights, axis=1)
    each = _widen(take(pixels, jnp.concatenate(indices, axis=1)), weight) * weight[..., None]
    return sum(jnp.split(each, len(indices), axis=1))


def _widen(pixels, weight):
    floats = jnp.promote_types(result_type(pixels), jnp.float32)
    return pixels.astype(jnp.promote_types(floats, jnp.finfo(weight.dtype).dtype))
