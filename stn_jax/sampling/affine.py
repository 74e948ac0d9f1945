"""Affine thetas: made from scale and translation, chained with any theta, and inverted."""

from typing import no_type_check

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float

from stn_jax.sampling import checks
from stn_jax.sampling.grids import check_theta
from stn_jax.sampling.thin_plate import control_points


@no_type_check
def attention_theta(
    scale: Float[ArrayLike, "batch"], translation: Float[ArrayLike, "batch 2"]
) -> Float[Array, "batch 2 3"]:
    """Theta that looks at an upright window: isotropic scale, then translation.

    Args:
      scale: part of the image's side that the window covers; 1 is the whole image.
      translation: centre (x, y) of the window, in [-1, 1].

    Raises:
      TypeError: an argument is not floating-point.
      ValueError: shapes are not [batch] and [batch, 2].
    """
    scale = checks.floating("scale", scale, ("batch",))
    translation = checks.floating("translation", translation, ("batch", 2))
    checks.same_batch("scale", scale, "translation", translation)
    linear = scale[:, None, None] * jnp.eye(2, dtype=scale.dtype)[None]
    return jnp.concatenate([linear, translation[:, :, None]], axis=2)


def middle_theta(photo_size: tuple[int, int], crop_size: tuple[int, int]) -> np.ndarray:
    """Theta [2, 3] of the photo's middle at full resolution: whole pixels, none of them changed.

    Where the crop cannot lie in the middle by whole pixels, it lies half a pixel left or above.

    Args:
      photo_size: height and width, in pixels.
      crop_size: height and width, in pixels.
    """
    theta = np.zeros((2, 3), np.float32)
    for axis, (photo, crop) in enumerate(zip(photo_size[::-1], crop_size[::-1], strict=True)):
        theta[axis, axis] = crop / photo
        theta[axis, 2] = -((photo - crop) % 2) / photo
    return theta


@no_type_check
def compose(
    outer: Float[ArrayLike, "batch 2 3"],
    inner: Float[ArrayLike, "batch ..."],
    *,
    transform: str = "affine",
) -> Float[Array, "batch ..."]:
    """Theta that maps a point by `inner`, then by `outer`; of the family of `inner`.

    Sampling with `outer` and sampling the result with `inner` reads the image where sampling once
    with `compose(outer, inner)` does.

    Args:
      outer: an affine map.
      inner: [batch, 2, 3] for affine and attention, [batch, 3, 3] for projective, displacements
        [batch, K * K, 2] for tps (a spline that meets its control points: without regularization).
      transform: family of `inner`: affine, attention, projective or tps.

    Raises:
      TypeError: an argument is not floating-point.
      ValueError: a shape or the family is not one of the above.
    """
    outer = checks.floating("outer", outer, ("batch", 2, 3))
    inner = check_theta(inner, transform, "inner")
    checks.same_batch("outer", outer, "inner", inner)
    linear, shift = outer[:, :, :2], outer[:, :, 2:]
    if transform == "tps":
        control = jnp.asarray(control_points(inner.shape[1]), inner.dtype)[None]
        return _product(control + inner, linear.mT) + shift.mT - control
    if transform == "projective":
        position = _product(linear, inner[:, :2]) + shift * inner[:, 2:]
        return jnp.concatenate([position, inner[:, 2:]], axis=1)
    return _product(linear, inner).at[:, :, 2].add(outer[:, :, 2])


def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


@no_type_check
def invert(theta: Float[ArrayLike, "batch 2 3"]) -> Float[Array, "batch 2 3"]:
    """The map that undoes `theta`: composed with it, in either order, it is the identity.

    A theta that flattens the plane has no inverse; its result is not finite.

    Returns:
      The inverse in theta's type, computed in float32 or better.

    Raises:
      TypeError: theta is not floating-point.
      ValueError: theta is not [batch, 2, 3].
    """
    given = checks.floating("theta", theta, ("batch", 2, 3))
    theta = given.astype(jnp.promote_types(given.dtype, jnp.float32))
    a, b, c, d = theta[:, 0, 0], theta[:, 0, 1], theta[:, 1, 0], theta[:, 1, 1]
    adjugate = jnp.stack([jnp.stack([d, -b], -1), jnp.stack([-c, a], -1)], -2)
    linear = adjugate / (a * d - b * c)[:, None, None]
    shift = -_product(linear, theta[:, :, 2:])
    return jnp.concatenate([linear, shift], axis=2).astype(given.dtype)
