"""Positions and image to pixels: the sampler, with torch's semantics."""

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Real

from stn_jax.sampling import checks

MODES = ("bilinear", "nearest")
PADDING_MODES = ("zeros", "border", "reflection")


def grid_sample(
    images: Real[ArrayLike, "batch height width channels"],
    grid: Float[ArrayLike, "batch out_height out_width 2"],
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool = False,
    fill_value: Real[ArrayLike, "..."] | float | int = 0.0,
) -> Float[Array, "batch out_height out_width channels"]:
    """Reads images at the positions of a grid."""
    images = checks.images_like("images", images)
    grid = checks.floating("grid", grid, ("batch", "out_height", "out_width", 2))
    if grid.dtype.itemsize < 4:
        raise TypeError(f"grid must be float32 or float64, got {grid.dtype}: too coarse")
    checks.same_batch("images", images, "grid", grid)
    height, width = images.shape[1:3]
    shrink = 1 if align_corners else 0
    x = grid[..., 0] * ((width - shrink) / 2) + (width - 1) / 2
    y = grid[..., 1] * ((height - shrink) / 2) + (height - 1) / 2
    return sample_pixels(
        images,
        x,
        y,
        mode=mode,
        padding_mode=padding_mode,
        align_corners=align_corners,
        fill_value=fill_value,
    )


def sample_pixels(images, x, y, *, mode, padding_mode, align_corners, fill_value):
    """Reads images at pixel positions (0 at the centre of the first pixel)."""
    checks.choice("mode", mode, MODES)
    checks.choice("padding_mode", padding_mode, PADDING_MODES)
    height, width = images.shape[1:3]
    x = _pad(x, width, padding_mode, align_corners)
    y = _pad(y, height, padding_mode, align_corners)
    out_type = images.dtype if jnp.issubdtype(images.dtype, jnp.floating) else jnp.float32
    dtype = jnp.promote_types(jnp.promote_types(out_type, jnp.float32), x.dtype)
    fill = jnp.broadcast_to(jnp.asarray(fill_value, dtype), images.shape[3:])[None, None, None]

    def tap(ix, iy):
        ix, iy = ix.astype(jnp.int32), iy.astype(jnp.int32)
        inside = (ix >= 0) & (ix < width) & (iy >= 0) & (iy < height)
        index = jnp.clip(iy, 0, height - 1) * width + jnp.clip(ix, 0, width - 1)
        flat = images.reshape(images.shape[0], height * width, images.shape[3])
        values = jnp.take_along_axis(flat, index.reshape(index.shape[0], -1, 1), axis=1)
        values = values.reshape(*index.shape, -1).astype(dtype)
        return jnp.where(inside[..., None], values, fill)

    if mode == "nearest":
        return tap(jnp.round(lax.stop_gradient(x)), jnp.round(lax.stop_gradient(y))).astype(
            out_type
        )
    left, top = jnp.floor(lax.stop_gradient(x)), jnp.floor(lax.stop_gradient(y))
    wx, wy = (x - left)[..., None], (y - top)[..., None]
    upper = tap(left, top) * (1 - wx) + tap(left + 1, top) * wx
    lower = tap(left, top + 1) * (1 - wx) + tap(left + 1, top + 1) * wx
    return (upper * (1 - wy) + lower * wy).astype(out_type)


def _pad(position, length, padding_mode, align_corners):
    if padding_mode == "zeros":
        return jnp.where((position >= -1) & (position < length), position, -2.0)
    if padding_mode == "reflection":
        low, high = (0.0, length - 1.0) if align_corners else (-0.5, length - 0.5)
        near = jnp.abs(position) < 2.0**30
        safe = jnp.where(near, position, 0.0)
        span = max(high - low, 1)
        away = jnp.abs(safe - low)
        extra = jnp.fmod(away, span)
        flips = lax.stop_gradient(jnp.floor(away / span))
        position = jnp.where(flips % 2 == 0, extra + low, span - extra + low)
        if high == low:
            position = jnp.zeros_like(position)
        position = jnp.where(near, position, 0.0)
    inner = (position > 0) & (position < length - 1)
    edge = jnp.where(lax.stop_gradient(position) > 0, length - 1.0, 0.0)
    return jnp.where(inner, position, edge)
