"""How far apart neighbouring output pixels read the image: how much a map shrinks, and where."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from stn_jax.sampling.grids import depths, map_points, normalise_homography
from stn_jax.sampling.thin_plate import spline_weights

# Step, in the lattice's coordinates, of the central differences that differentiate a spline.
SPLINE_STEP = 1e-4


class Strides(NamedTuple):
    """Image pixels from one output pixel to the next, at least 1, at each output pixel.

    The axes are those of a batch of outputs, or of length 1 where a map strides evenly.

    Attributes:
      along_x: length of the gradient of the image's x.
      along_y: length of the gradient of the image's y.
      largest: stride in the direction that shrinks most: the larger singular value.
    """

    along_x: Float[Array, "batch height width"]
    along_y: Float[Array, "batch height width"]
    largest: Float[Array, "batch height width"]


def local_strides(
    theta: Array,
    columns: np.ndarray,
    rows: np.ndarray,
    *,
    transform: str,
    scale: tuple[float, float],
    steps: tuple[float, float],
) -> Strides:
    """Strides of a map; they carry no gradient.

    Args:
      theta: as `map_points` takes it; so are the other arguments but the last.
      columns: x coordinates of the output pixels.
      rows: y coordinates of the output pixels.
      transform: affine, attention, projective or tps.
      scale: image pixels in one unit of the mapped x and y.
      steps: coordinates from one output pixel to the next, in x and in y.
    """
    derivatives = {"projective": _projective, "tps": _spline}.get(transform, _affine)
    jacobian = derivatives(lax.stop_gradient(theta), columns, rows)
    (xu, xv), (yu, yv) = (
        [entry * (scale[image] * steps[output]) for output, entry in enumerate(line)]
        for image, line in enumerate(jacobian)
    )
    largest = (jnp.hypot(xu + yv, yu - xv) + jnp.hypot(xu - yv, yu + xv)) / 2
    return Strides(*map(_at_least_1, (jnp.hypot(xu, xv), jnp.hypot(yu, yv), largest)))


def _at_least_1(stride: Array) -> Array:
    # Where theta is not finite or points behind the camera nothing is read: any stride will do.
    return jnp.where((stride > 1) & jnp.isfinite(stride), stride, 1.0)


def _affine(theta, columns, rows):
    linear = theta[:, :, :2, None, None]
    return [[linear[:, image, output] for output in range(2)] for image in range(2)]


def _projective(theta, columns, rows):
    theta = normalise_homography(theta)
    mapped = map_points(theta, columns, rows, transform="projective")
    slopes = theta[:, :, :2, None, None]
    depth, _ = depths(theta, columns, rows)
    return [
        [(slopes[:, image, output] - mapped[image] * slopes[:, 2, output]) / depth
         for output in range(2)]
        for image in range(2)
    ]  # fmt: skip


def _spline(theta, columns, rows):
    jacobian = [[], []]
    for output in range(2):
        after, before = (
            spline_weights(columns + step * (output == 0), rows + step * (output == 1),
                           theta.shape[1], 0.0)
            for step in (SPLINE_STEP, -SPLINE_STEP)
        )  # fmt: skip
        slopes = jnp.asarray((after - before) / (2 * SPLINE_STEP), theta.dtype)
        for image in range(2):
            slope = jnp.dot(theta[:, :, image], slopes, precision=lax.Precision.HIGHEST)
            slope = slope.reshape(theta.shape[0], len(rows), len(columns))
            jacobian[image].append((image == output) + slope)
    return jacobian
