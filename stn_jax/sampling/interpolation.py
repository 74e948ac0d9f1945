"""Bilinear interpolation between pixels, and its derivatives."""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Float, Int, Real


def sum_type(images: Array, positions: Array) -> DTypeLike:
    """Type of the arithmetic: float32, or float64 where an argument has it."""
    return jnp.promote_types(jnp.promote_types(result_type(images), jnp.float32), positions.dtype)


def result_type(images: Array) -> DTypeLike:
    """Type of the crops: that of the images, or float32 for integers."""
    return images.dtype if jnp.issubdtype(images.dtype, jnp.floating) else jnp.dtype(jnp.float32)


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
def interpolate(
    pixels: Real[Array, "batch pixels channels"],
    x: Float[Array, "batch height width"],
    y: Float[Array, "batch height width"],
    columns: Int[ArrayLike, "..."],
    rows: Int[ArrayLike, "..."],
    start: Int[ArrayLike, "..."],
) -> Float[Array, "batch height width channels"]:
    """Reads an image of columns x rows pixels, row by row from pixel `start` on, at x and y.

    Args:
      pixels: any number of images, in a row.
      x: positions in [0, columns - 1]; 0 is the centre of the first pixel.
      y: positions in [0, rows - 1].
      columns: width of the image, one for all positions or one for each.
      rows: its height.
      start: index of its first pixel.
    """
    taps, weights = _neighbours(x, y, columns, rows, start)
    return _mix(_gather(pixels, taps, x), *weights)


@functools.partial(interpolate.defjvp, symbolic_zeros=True)
def _interpolate_jvp(primals, tangents):
    # The derivatives come from the neighbours that the value has read already, so that a gradient
    # reads each pixel once; with the image left alone there is nothing to scatter.
    pixels, x, y, *layout = primals
    pixels_dot, x_dot, y_dot, *_ = tangents
    taps, (wx, wy) = _neighbours(x, y, *layout)
    values = lax.optimization_barrier(_gather(pixels, taps, x))
    top_left, top_right, bottom_left, bottom_right = values
    terms = []
    if not isinstance(x_dot, SymbolicZero):
        slope = (top_right - top_left) * (1 - wy) + (bottom_right - bottom_left) * wy
        terms.append(slope * x_dot[..., None])
    if not isinstance(y_dot, SymbolicZero):
        slope = (bottom_left - top_left) * (1 - wx) + (bottom_right - top_right) * wx
        terms.append(slope * y_dot[..., None])
    if not isinstance(pixels_dot, SymbolicZero):
        terms.append(_mix(_gather(pixels_dot, taps, x), wx, wy))
    return _mix(values, wx, wy), sum(terms)


def _neighbours(x, y, columns, rows, start):
    """Indices of the four pixels around each position, and the weights of the right and lower."""
    left, top = jnp.floor(x), jnp.floor(y)
    column, row = left.astype(jnp.int32), top.astype(jnp.int32)
    right = jnp.minimum(column + 1, columns - 1)
    upper, lower = start + row * columns, start + jnp.minimum(row + 1, rows - 1) * columns
    taps = [upper + column, upper + right, lower + column, lower + right]
    return taps, ((x - left)[..., None], (y - top)[..., None])


def _gather(pixels, taps, positions):
    # Converted after they are read: an image of bytes is never converted whole.
    dtype = sum_type(pixels, positions)
    return [take(pixels, tap).astype(dtype) for tap in taps]


def _mix(values, wx, wy):
    top_left, top_right, bottom_left, bottom_right = values
    top = top_left * (1 - wx) + top_right * wx
    bottom = bottom_left * (1 - wx) + bottom_right * wx
    return top * (1 - wy) + bottom * wy
