"""Theta to positions: for each output pixel, where in the image it is read.

Positions are (x, y), -1 and 1 at the image's edges (or, with `align_corners`, at the centres of its
outermost pixels), as in torch and in Jaderberg et al., "Spatial Transformer Networks", 2015.
"""

import functools
from typing import no_type_check

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Bool, Float

from stn_jax.sampling import checks
from stn_jax.sampling.thin_plate import control_points, spline_weights
from stn_jax.sampling.weighted_sum import set_apart

TRANSFORMS = ("affine", "attention", "projective", "tps")
# A point is in front of the camera where its depth exceeds this part of the largest possible one.
NEAREST_DEPTH = 1e-6
# Depths up to it, and down to its inverse, are computed with as they are.
LARGEST_DEPTH = 1e6


@no_type_check
def affine_grid(
    theta: Float[ArrayLike, "batch 2 3"], size: tuple[int, int], *, align_corners: bool = False
) -> Float[Array, "batch height width 2"]:
    """Positions of an affine map, one for each output pixel.

    Args:
      theta: maps output (x, y, 1) to image (x, y), both in [-1, 1].
      size: height and width of the output, in pixels.
      align_corners: whether -1 and 1 are the centres of the outermost pixels instead of the edges.

    Returns:
      Positions (x, y) in float32, or float64 where theta is.

    Raises:
      TypeError: theta is not floating-point.
      ValueError: theta is not [batch, 2, 3].
    """
    return _grid("affine", theta, size, align_corners)


@no_type_check
def projective_grid(
    theta: Float[ArrayLike, "batch 3 3"], size: tuple[int, int], *, align_corners: bool = False
) -> Float[Array, "batch height width 2"]:
    """Positions of a homography, one for each output pixel.

    Args:
      theta: maps output (x, y, 1) to image (x z, y z, z). Points with z <= 0 are behind the camera.
      size: height and width of the output, in pixels.
      align_corners: whether -1 and 1 are the centres of the outermost pixels instead of the edges.

    Returns:
      Positions (x, y) in float32, or float64 where theta is; infinite behind the camera, where
      `grid_sample` reads the fill value.

    Raises:
      TypeError: theta is not floating-point.
      ValueError: theta is not [batch, 3, 3].
    """
    return _grid("projective", theta, size, align_corners)


@no_type_check
def thin_plate_spline_grid(
    displacements: Float[ArrayLike, "batch points 2"],
    size: tuple[int, int],
    *,
    regularization: float = 0.0,
    align_corners: bool = False,
) -> Float[Array, "batch height width 2"]:
    """Positions of a thin-plate spline, one for each output pixel.

    Args:
      displacements: (dx, dy) of a regular K x K lattice of control points over [-1, 1], row by
        row; 0 is the identity.
      size: height and width of the output, in pixels.
      regularization: trades exactness at the control points for a smoother map; a number from 0,
        which meets them.
      align_corners: whether -1 and 1 are the centres of the outermost pixels instead of the edges.

    Returns:
      Positions (x, y) in float32, or float64 where the displacements are.

    Raises:
      TypeError: displacements are not floating-point.
      ValueError: displacements are not [batch, K * K, 2] with K at least 2, or regularization is no
        finite number from 0.
    """
    regularization = checks.not_negative("regularization", regularization)
    return _grid("tps", displacements, size, align_corners, regularization=regularization)


def _grid(transform, theta, size, align_corners, **options):
    theta = check_theta(theta, transform)
    size = checks.output_size("size", size)
    columns, rows = (axis_coordinates(side, align_corners) for side in (size[1], size[0]))
    x, y = map_points(theta, columns, rows, transform=transform, **options)
    return jnp.stack([x, y], axis=-1)


def check_theta(theta: ArrayLike, transform: str, name: str | None = None) -> Array:
    """Returns theta in float32 or better, after checking type and shape for its transform.

    Messages call it by `name`; by default theta, or displacements for tps.
    """
    checks.choice("transform", transform, TRANSFORMS)
    if transform == "tps":
        theta = checks.floating(name or "displacements", theta, ("batch", "points", 2))
        control_points(theta.shape[1])
    else:
        shape = ("batch", 3, 3) if transform == "projective" else ("batch", 2, 3)
        theta = checks.floating(name or "theta", theta, shape)
    return theta.astype(jnp.promote_types(theta.dtype, jnp.float32))


def axis_coordinates(length: int, align_corners: bool) -> np.ndarray:
    """Coordinates of pixel centres along one axis, in float64, so that scaling them is exact."""
    steps = 2.0 * np.arange(length) + 1.0 - length
    return steps / max(_span(length, align_corners), 1)


def pixel_scale(size: tuple[int, int], align_corners: bool) -> tuple[float, float]:
    """Pixels (x, y) in one unit of coordinates of an image, which go from -1 to 1."""
    height, width = size
    return _span(width, align_corners) / 2, _span(height, align_corners) / 2


def pixel_steps(size: tuple[int, int], align_corners: bool) -> tuple[float, float]:
    """Coordinates (x, y) from one pixel of an image to the next."""
    height, width = size
    return tuple(2 / max(_span(length, align_corners), 1) for length in (width, height))


def _span(length: int, align_corners: bool) -> int:
    """Pixels from -1 to 1 along an axis."""
    return length - 1 if align_corners else length


def map_points(
    theta: Array,
    columns: np.ndarray,
    rows: np.ndarray,
    *,
    transform: str,
    scale: tuple[float, float] = (1.0, 1.0),
    regularization: float = 0.0,
) -> tuple[Float[Array, "batch height width"], Float[Array, "batch height width"]]:
    """Maps the lattice of columns x rows by theta; x and y of the result are scaled by `scale`.

    The scale goes onto the coordinates in float64, before they are rounded: an identity theta then
    gives whole pixel positions, where scaling a finished grid would be off by a rounding error.
    """
    if transform == "tps":
        weights = spline_weights(columns, rows, theta.shape[1], regularization)
        rest = np.meshgrid(columns * scale[0], rows * scale[1])
        return tuple(
            jnp.asarray(base, theta.dtype)[None] + shift.reshape(theta.shape[0], *base.shape)
            for base, shift in zip(rest, _spline(theta, weights, scale), strict=True)
        )
    if transform != "projective":
        return _affine(theta, columns, rows, scale)
    theta = normalise_homography(theta)
    x, y = _affine(theta[:, :2], columns, rows, scale)
    depth, in_front = depths(theta, columns, rows)
    # Divided by 1 wherever no position comes of it, so that no gradient is 0 times infinity.
    x, y = set_apart(
        *(each / jnp.where(in_front & jnp.isfinite(each), depth, 1.0) for each in (x, y))
    )
    return jnp.where(in_front, x, jnp.inf), jnp.where(in_front, y, jnp.inf)


def normalise_homography(theta: Float[Array, "batch 3 3"]) -> Float[Array, "batch 3 3"]:
    """Homographies with a last row of ordinary size: any positive multiple is the same map.

    The derivatives of a division by depth have its square, which in float32 overflows from 2e19
    on and vanishes below 1e-23. Where the row is of ordinary size, theta stays as it is.
    """
    largest = jnp.max(jnp.abs(lax.stop_gradient(theta[:, 2])), axis=1)
    ordinary = (largest > 1 / LARGEST_DEPTH) & (largest < LARGEST_DEPTH)
    scalable = (largest > 0) & jnp.isfinite(largest) & ~ordinary
    return theta / jnp.where(scalable, largest, 1.0)[:, None, None]


def depths(
    theta: Float[Array, "batch 3 3"], columns: np.ndarray, rows: np.ndarray
) -> tuple[Float[Array, "batch height width"], Bool[Array, "batch height width"]]:
    """Depth of each point of a lattice under a homography, and whether the camera can see it.

    By the first, where the second holds, the mapped x and y are divided.
    """
    depth, _ = _affine(theta[:, [2, 2]], columns, rows, (1.0, 1.0))
    nearest = NEAREST_DEPTH * jnp.sum(jnp.abs(lax.stop_gradient(theta[:, 2])), axis=1)
    return depth, depth > nearest[:, None, None]


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3))
def _affine(theta, columns, rows, scale):
    mapped = []
    for axis in range(2):
        along_x, along_y, shift = (theta[:, axis, i, None, None] for i in range(3))
        x, y = (jnp.asarray(base * scale[axis], theta.dtype) for base in (columns, rows))
        mapped.append(along_x * x[None, None] + (along_y * y[None, :, None] + shift * scale[axis]))
    return tuple(mapped)


@_affine.defjvp
def _affine_jvp(columns, rows, scale, primals, tangents):
    (theta,), (theta_dot,) = primals, tangents
    along_x, along_y, shift = (
        lax.complex(theta_dot[:, 0, i] * scale[0], theta_dot[:, 1, i] * scale[1])[:, None]
        for i in range(3)
    )
    start = along_y * jnp.asarray(rows, theta_dot.dtype)[None] + shift
    # Row by row, so that the gradient of the positions is summed up, and made, row by row.
    line = jnp.stack([jnp.broadcast_to(along_x, start.shape), start], axis=-1)
    moved = _move(line, np.stack([columns, np.ones_like(columns)]))
    return _affine(theta, columns, rows, scale), moved


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _spline(displacements, weights, scale):
    weights = jnp.asarray(weights, displacements.dtype)
    return tuple(_dot(displacements[:, :, axis] * scale[axis], weights) for axis in range(2))


@_spline.defjvp
def _spline_jvp(weights, scale, primals, tangents):
    (displacements,), (dot,) = primals, tangents
    coefficients = lax.complex(dot[:, :, 0] * scale[0], dot[:, :, 1] * scale[1])
    return _spline(displacements, weights, scale), _move(coefficients, weights)


def _move(coefficients: Array, basis: np.ndarray) -> tuple[Array, Array]:
    """Moves of x and y by a product with a basis, both in one as the sampler's moves are."""
    moved = _dot(coefficients, jnp.asarray(basis, coefficients.dtype))
    return jnp.real(moved), jnp.imag(moved)


def _dot(a: Array, b: Array) -> Array:
    # The default precision of an accelerator would round positions to a few bits.
    return jnp.dot(a, b, precision=lax.Precision.HIGHEST)
