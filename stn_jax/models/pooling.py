"""Max pooling whose gradient is quick on every backend, and what is left of whole feature maps."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

_LEAST_VARIANCE = 1e-5
"""Added, because the root's slope is infinite where a map is even."""


@jax.custom_jvp
def max_pool(
    x: Float[Array, "batch height width channel"],
) -> Float[Array, "batch height//2 width//2 channel"]:
    """The largest of every 2x2 pixels; an odd last row or column is left out.

    The gradient goes to the largest, to the first in reading order where several are, as in torch
    and in XLA, whose select-and-scatter takes up to 30 times as long on a CPU.
    """
    return nn.max_pool(x, window_shape=(2, 2), strides=(2, 2))


@max_pool.defjvp
def _max_pool_jvp(primals, tangents):
    (x,), (x_dot,) = primals, tangents
    position = jnp.arange(4, dtype=jnp.uint8).reshape(1, 1, 2, 1, 2, 1)
    chosen = _position_of_largest(_windows(x))[:, :, None, :, None] == position
    return max_pool(x), jnp.where(chosen, _windows(x_dot), 0).sum(axis=(2, 4))


def check_size(name: str, images: Float[Array, "batch height width channel"], pools: int) -> None:
    """Raises ValueError where so many pools, one behind the other, leave nothing of images."""
    least = 2**pools
    if min(images.shape[1:3]) < least:
        raise ValueError(
            f"{name} of shape {images.shape} are too small: {pools} poolings need at least {least} "
            "pixels a side"
        )


def pool_globally(
    x: Float[Array, "batch height width channel"], *, statistics: bool
) -> Float[Array, "batch pooled"]:
    """The mean of every feature map; with `statistics`, the largest and the deviation behind it."""
    mean = x.mean(axis=(1, 2))
    if not statistics:
        return mean
    deviation = jnp.sqrt(x.var(axis=(1, 2)) + _LEAST_VARIANCE)
    return jnp.concatenate([mean, x.max(axis=(1, 2)), deviation], axis=-1)


def _windows(
    x: Float[Array, "batch height width channel"],
) -> Float[Array, "batch height//2 2 width//2 2 channel"]:
    batch, height, width, channel = x.shape
    rows, columns = height // 2, width // 2
    # One side after the other: JAX can tell how each is divided over devices.
    bands = x[:, : 2 * rows, : 2 * columns].reshape(batch, rows, 2, 2 * columns, channel)
    return bands.reshape(batch, rows, 2, columns, 2, channel)


def _position_of_largest(
    windows: Float[Array, "batch rows 2 columns 2 channel"],
) -> UInt8[Array, "batch rows columns channel"]:
    a, b, c, d = (windows[:, :, row, :, column] for row in (0, 1) for column in (0, 1))
    upper, lower = jnp.where(a >= b, 0, 1), jnp.where(c >= d, 2, 3)
    return jnp.where(jnp.maximum(a, b) >= jnp.maximum(c, d), upper, lower).astype(jnp.uint8)
