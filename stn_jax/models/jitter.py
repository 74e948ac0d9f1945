"""Jitter: while it learns, the classifier sees each crop a little turned, stretched and sheared.

A transformer that has learned to bring things upright and to size also takes away the variety that
kept the classifier from learning its photos by heart. Jitter gives it back behind the transformer,
where no map can undo it.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from stn_jax.sampling import compose
from stn_jax.sampling.grids import map_points

_MIDDLE = np.zeros(1)


def jitter_theta(
    key: Key[Array, ""],
    theta: Float[Array, "batch ..."],
    amount: float,
    photo_size: tuple[int, int],
    *,
    transform: str,
) -> Float[Array, "batch ..."]:
    """Changes each crop about its own middle, by a linear map near the identity.

    Args:
      key: random key.
      theta: the maps.
      amount: of the change: each of the four numbers of the linear map, in pixels of the photo, is
        drawn from within so much of the identity's. Below 0.5 no crop is turned inside out.
      photo_size: height and width of the photos, in pixels.
      transform: family of theta.
    """
    shape = (len(theta), 2, 2)
    change = jax.random.uniform(key, shape, theta.dtype, minval=-amount, maxval=amount)
    # From pixels to coordinates in which both sides are 2 long.
    sides = np.array(photo_size[::-1], np.float32)
    change = change * (sides[None] / sides[:, None])[None]
    x, y = map_points(theta, _MIDDLE, _MIDDLE, transform=transform)
    middle = jnp.concatenate([x, y], axis=2)
    # A homography may have it behind the camera: the change is then about the photo's middle.
    middle = jnp.where(jnp.isfinite(middle), middle, 0)
    shift = -(change * middle).sum(axis=2, keepdims=True)
    outer = jnp.concatenate([jnp.eye(2, dtype=theta.dtype)[None] + change, shift], axis=2)
    return compose(outer, theta, transform=transform)
