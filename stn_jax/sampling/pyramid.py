"""The image pyramid that anti-aliasing reads: each level half as large as the one before."""

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike
from jaxtyping import Float, Real

# A cubic B-spline's halving filter. A 2x2 mean leaves 0.16 of a cosine of 0.45 cycles a pixel,
# which then passes for a coarse pattern; this leaves 0.004.
HALVING_FILTER = (0.125, 0.375, 0.375, 0.125)


def build_levels(
    images: Real[Array, "batch height width channels"],
) -> list[Float[Array, "batch level_height level_width channels"]]:
    """Halves images, in float32 or better, until one pixel is left; the images are not included.

    Pixel i of level k is centred on the border between pixels 2 i and 2 i + 1 of level k - 1, and
    the edge pixels are repeated outwards.
    """
    dtype = jnp.float64 if images.dtype == jnp.float64 else jnp.float32
    levels = []
    while max(images.shape[1:3]) > 1:
        images = _halve(_halve(images, 1, dtype), 2, dtype)
        levels.append(images)
    return levels


def _halve(images: Array, axis: int, dtype: DTypeLike) -> Array:
    length = images.shape[axis]
    half = (length + 1) // 2
    first, last = (lax.slice_in_dim(images, i, i + 1, axis=axis) for i in (0, length - 1))
    padded = jnp.concatenate([first, images, *[last] * (2 * half + 1 - length)], axis=axis)
    taps = []
    for i, weight in enumerate(HALVING_FILTER):
        window = [slice(None)] * 4
        window[axis] = slice(i, i + 2 * half - 1, 2)
        taps.append(weight * padded[tuple(window)].astype(dtype))
    return taps[0] + taps[1] + taps[2] + taps[3]
