"""Random changes of training photos, inside the jitted step and from its key.

Each kind of change costs one pass at most: mirrors and right angles move whole pixels; rotation and
scale, with any mirror, are one theta and one gather; brightness, contrast, saturation and hue are
one affine map of the colours. What is off is not computed.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, PRNGKeyArray, Real

from stn_jax.config import AugmentConfig
from stn_jax.sampling import compose, spatial_transform

# RGB to luma and two axes of colour (YIQ): hue is an angle there, saturation a distance from 0.
_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


@functools.partial(jax.jit, static_argnames="config")
def augment(
    key: PRNGKeyArray,
    images: Real[Array, "batch height width channels"],
    *,
    config: AugmentConfig,
    fill_value: Real[ArrayLike, "..."] | tuple[Real[ArrayLike, ""], ...],
) -> Real[Array, "batch height width channels"]:
    """Changes each photo at random, independently of the others.

    A pure function of its arguments. With everything off, the photos come back as they are.

    Args:
      key: random key; fold the step into it.
      images: pixels in 0..255, uint8 or floating-point; RGB where saturation or hue is on.
      config: what to change, and by how much at most.
      fill_value: what rotation and scale bring in from outside the photo, one number or one for
        each channel; the same jitter of colour is applied to it as to the photo.

    Returns:
      Photos of the same shape and type, in 0..255; uint8 is rounded, once, at the end.

    Raises:
      ValueError: saturation or hue is on, and the images are not RGB.
    """
    if (config.saturation or config.hue) and images.shape[-1] != 3:
        raise ValueError(
            f"images of {images.shape[-1]} channels have no saturation or hue to change: "
            "set augment.saturation and augment.hue to 0"
        )
    mirror_key, shape_key, colour_key = jax.random.split(key, 3)
    changed = images
    if config.rotate or config.scale:
        changed = spatial_transform(
            images,
            _theta(mirror_key, shape_key, config, images.shape),
            images.shape[1:3],
            fill_value=jnp.asarray(fill_value, jnp.float32),
        )
    elif config.flip or config.right_angles:
        changed = _mirror(images, *_mirror_draws(mirror_key, config, images.shape))
    if config.brightness or config.contrast or config.saturation or config.hue:
        changed = _change_colours(changed, colour_key, config)
    if changed.dtype == images.dtype:
        return changed
    if jnp.issubdtype(images.dtype, jnp.integer):
        changed = jnp.round(changed)
    return changed.astype(images.dtype)


def _mirror_draws(
    key: PRNGKeyArray, config: AugmentConfig, shape: tuple[int, ...]
) -> tuple[Bool[Array, "batch"], Bool[Array, "batch"], Bool[Array, "batch"]]:
    """Draws whether to swap x with y, then to mirror x, then to mirror y, for each photo."""
    batch, height, width = shape[:3]
    flip_key, turn_key = jax.random.split(key)
    mirror_x = mirror_y = swap = jnp.zeros(batch, bool)
    if config.flip:
        mirror_x, mirror_y = jax.random.bernoulli(flip_key, shape=(2, batch))
    if config.right_angles:
        quarters = jax.random.randint(turn_key, (batch,), 0, 4)
        if height != width:
            quarters = quarters // 2 * 2
        # A quarter turn is a swap and one mirror, half a turn both mirrors.
        swap = quarters % 2 == 1
        mirror_x ^= (quarters == 1) | (quarters == 2)
        mirror_y ^= (quarters == 2) | (quarters == 3)
    return swap, mirror_x, mirror_y


def _mirror(
    images: Real[Array, "batch height width channels"],
    swap: Bool[Array, "batch"],
    mirror_x: Bool[Array, "batch"],
    mirror_y: Bool[Array, "batch"],
) -> Real[Array, "batch height width channels"]:
    """Swaps and mirrors whole photos, without touching a pixel's value."""
    if images.shape[1] == images.shape[2]:
        images = jnp.where(swap[:, None, None, None], images.swapaxes(1, 2), images)
    images = jnp.where(mirror_x[:, None, None, None], images[:, :, ::-1], images)
    return jnp.where(mirror_y[:, None, None, None], images[:, ::-1], images)


def _theta(
    mirror_key: PRNGKeyArray, shape_key: PRNGKeyArray, config: AugmentConfig, shape: tuple[int, ...]
) -> Float[Array, "batch 2 3"]:
    """Draws one map for each photo: mirrors and right angles, after rotation and scale."""
    batch, height, width = shape[:3]
    swap, mirror_x, mirror_y = _mirror_draws(mirror_key, config, shape)
    signs = 1.0 - 2.0 * jnp.stack([mirror_x, mirror_y], axis=1)
    swapped = jnp.where(swap[:, None, None], jnp.eye(2)[::-1][None], jnp.eye(2)[None])
    angle_key, scale_key = jax.random.split(shape_key)
    angle = jnp.deg2rad(_either_way(angle_key, batch, config.rotate))
    zoom = (1 + config.scale) ** _either_way(scale_key, batch, 1.0)
    cos, sin = jnp.cos(angle) / zoom, jnp.sin(angle) / zoom
    # The angle is one of pixels; in [-1, 1] an oblong photo has shorter units along its short side.
    rows = [
        jnp.stack([cos, -sin * (height / width)], 1),
        jnp.stack([sin * (width / height), cos], 1),
    ]
    return compose(_affine(jnp.stack(rows, 1)), _affine(swapped * signs[:, None, :]))


def _affine(linear: Float[Array, "batch 2 2"]) -> Float[Array, "batch 2 3"]:
    return jnp.pad(linear, ((0, 0), (0, 0), (0, 1)))


def _change_colours(
    images: Real[Array, "batch height width channels"], key: PRNGKeyArray, config: AugmentConfig
) -> Float[Array, "batch height width channels"]:
    """Maps the colours of each photo by one random matrix and offset, and clips to 0..255."""
    batch, channels = images.shape[0], images.shape[-1]
    brightness_key, contrast_key, saturation_key, hue_key = jax.random.split(key, 4)
    images = images.astype(jnp.float32)
    matrix = jnp.broadcast_to(jnp.eye(channels)[None], (batch, channels, channels))
    if config.saturation or config.hue:
        saturation = 1 + _either_way(saturation_key, batch, config.saturation)
        matrix = _colour_matrix(saturation, 2 * jnp.pi * _either_way(hue_key, batch, config.hue))
    # One affine map: contrast is about the mean colour, which the matrix takes along.
    contrast = 1 + _either_way(contrast_key, batch, config.contrast)[:, None, None, None]
    offset = _either_way(brightness_key, batch, 255 * config.brightness)[:, None, None, None]
    if config.contrast:
        mean = jnp.mean(images, axis=(1, 2), keepdims=True)
        offset += (1 - contrast) * _times(matrix, mean)
    return jnp.clip(_times(contrast[..., 0] * matrix, images) + offset, 0, 255)


def _colour_matrix(
    saturation: Float[Array, "batch"], angle: Float[Array, "batch"]
) -> Float[Array, "batch 3 3"]:
    """Matrices that scale and turn the colour of RGB pixels and keep their luma."""
    cos, sin = saturation * jnp.cos(angle), saturation * jnp.sin(angle)
    grey = np.linalg.inv(_YIQ)[:, :1] @ _YIQ[:1]
    # The plane of colour turns by cos * identity + sin * quarter turn.
    plain = np.eye(3) - grey
    quarter = np.linalg.inv(_YIQ) @ np.array([[0, 0, 0], [0, 0, -1], [0, 1, 0]]) @ _YIQ
    grey, plain, quarter = (jnp.asarray(part, jnp.float32)[None] for part in (grey, plain, quarter))
    return grey + cos[:, None, None] * plain + sin[:, None, None] * quarter


def _times(
    matrix: Float[Array, "batch channels channels"],
    images: Float[Array, "batch height width channels"],
) -> Float[Array, "batch height width channels"]:
    # Written out: a matrix product this narrow is slower, and rounds on some accelerators.
    columns = [
        images[..., i : i + 1] * matrix[:, None, None, :, i] for i in range(matrix.shape[-1])
    ]
    return functools.reduce(jnp.add, columns)


def _either_way(key: PRNGKeyArray, batch: int, limit: float) -> Float[Array, "batch"]:
    return jax.random.uniform(key, (batch,), minval=-limit, maxval=limit)
