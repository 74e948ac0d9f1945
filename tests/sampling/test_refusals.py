"""Arguments that cannot be meant are refused with their name and what they should be."""

import functools

import jax
import jax.numpy as jnp
import pytest

from stn_jax.sampling import (
    affine_grid,
    area_average,
    attention_theta,
    compose,
    grid_sample,
    invert,
    projective_grid,
    spatial_transform,
    theta_to_box,
    thin_plate_spline_grid,
)

IMAGES = jnp.ones((2, 4, 5, 3))
GRID = jnp.zeros((2, 3, 3, 2))
THETA = jnp.tile(jnp.eye(2, 3)[None], (2, 1, 1))
SIZE = (3, 3)

REFUSED = {
    "images of the wrong rank": (
        lambda: grid_sample(IMAGES[0], GRID), ValueError,
        r"images must have shape \[batch, height, width, channels\], got \(4, 5, 3\)"),
    "images without rows": (
        lambda: grid_sample(IMAGES[:, :0], GRID), ValueError,
        r"images of shape \(2, 0, 5, 3\) have no pixels"),
    "images without columns": (
        lambda: spatial_transform(IMAGES[:, :, :0], THETA, SIZE), ValueError,
        r"images of shape \(2, 4, 0, 3\) have no pixels"),
    "images without channels": (
        lambda: grid_sample(IMAGES[..., :0], GRID), ValueError,
        r"images of shape \(2, 4, 5, 0\) have no channels"),
    "images of truth values": (
        lambda: grid_sample(IMAGES > 0, GRID), TypeError, "images must hold .* got bool"),
    "complex images": (
        lambda: grid_sample(IMAGES + 1j, GRID), TypeError, "images must hold .* got complex"),
    "a grid for another batch": (
        lambda: grid_sample(IMAGES, GRID[:1]), ValueError,
        r"images of shape \(2, 4, 5, 3\) and grid of shape \(1, 3, 3, 2\) differ in batch size"),
    "a grid of three coordinates": (
        lambda: grid_sample(IMAGES, jnp.zeros((2, 3, 3, 3))), ValueError,
        r"grid must have shape \[batch, out_height, out_width, 2\], got \(2, 3, 3, 3\)"),
    "a grid of the wrong rank": (
        lambda: grid_sample(IMAGES, GRID[0]), ValueError, "grid must have shape"),
    "a grid of integers": (
        lambda: grid_sample(IMAGES, GRID.astype(jnp.int32)), TypeError,
        "grid must hold floating-point numbers, got int32"),
    "a coarse grid": (
        lambda: grid_sample(IMAGES, GRID.astype(jnp.bfloat16)), TypeError,
        "grid must be float32 or float64, got bfloat16"),
    "an unknown mode": (
        lambda: grid_sample(IMAGES, GRID, mode="bicubic"), ValueError,
        "mode must be one of bilinear, nearest, got 'bicubic'"),
    "an unknown padding": (
        lambda: grid_sample(IMAGES, GRID, padding_mode="wrap"), ValueError,
        "padding_mode must be one of zeros, border, reflection, got 'wrap'"),
    "an unknown padding of smoothed crops": (
        lambda: spatial_transform(IMAGES, THETA, SIZE, antialias=True, padding_mode="wrap"),
        ValueError, "padding_mode must be one of"),
    "an unknown mode of smoothed crops": (
        lambda: spatial_transform(IMAGES, THETA, SIZE, antialias=True, mode="bicubic"), ValueError,
        "mode must be one of bilinear, nearest, got 'bicubic'"),
    "two fill values where nothing is filled": (
        lambda: grid_sample(IMAGES, GRID, padding_mode="border", fill_value=(1.0, 2.0)), ValueError,
        r"fill_value must be one number or one for each of 3 channels, got shape \(2,\)"),
    "two fill values where nothing is filled, of smoothed crops": (
        lambda: spatial_transform(IMAGES, THETA, SIZE, antialias=True, padding_mode="border",
                                  fill_value=(1.0, 2.0)), ValueError, "fill_value must be one"),
    "two fill values for three channels": (
        lambda: grid_sample(IMAGES, GRID, fill_value=(1.0, 2.0)), ValueError,
        r"fill_value must be one number or one for each of 3 channels, got shape \(2,\)"),
    "an unknown transform": (
        lambda: spatial_transform(IMAGES, THETA, SIZE, transform="rigid"), ValueError,
        "transform must be one of affine, attention, projective, tps, got 'rigid'"),
    "smoothing of nearest": (
        lambda: spatial_transform(IMAGES, THETA, SIZE, antialias=True, mode="nearest"),
        ValueError, "antialias=True"),
    "theta of integers": (
        lambda: affine_grid(THETA.astype(jnp.int32), SIZE), TypeError,
        "theta must hold floating-point numbers, got int32"),
    "theta of another family": (
        lambda: projective_grid(THETA, SIZE), ValueError,
        r"theta must have shape \[batch, 3, 3\], got \(2, 2, 3\)"),
    "theta for another batch": (
        lambda: spatial_transform(IMAGES, THETA[:1], SIZE), ValueError, "differ in batch size"),
    "control points that are no square": (
        lambda: thin_plate_spline_grid(jnp.zeros((1, 5, 2)), SIZE), ValueError,
        "displacements must have K . K control points with K at least 2, got 5"),
    "one control point": (
        lambda: thin_plate_spline_grid(jnp.zeros((1, 1, 2)), SIZE), ValueError,
        "displacements must have K . K control points with K at least 2, got 1"),
    "a negative regularization": (
        lambda: thin_plate_spline_grid(jnp.zeros((1, 4, 2)), SIZE, regularization=-1.0), ValueError,
        "regularization must be one finite number from 0"),
    "a regularization that is no number": (
        lambda: thin_plate_spline_grid(jnp.zeros((1, 4, 2)), SIZE, regularization=float("nan")),
        ValueError, "regularization must be one finite number from 0, no array, got nan"),
    "an infinite regularization": (
        lambda: thin_plate_spline_grid(jnp.zeros((1, 4, 2)), SIZE, regularization=float("inf")),
        ValueError, "regularization must be one finite number from 0, no array, got inf"),
    "a regularization for each map": (
        lambda: thin_plate_spline_grid(jnp.zeros((2, 4, 2)), SIZE, regularization=jnp.ones(2)),
        ValueError, "regularization must be one finite number from 0, no array, got Array"),
    "a size that is no pair": (
        lambda: affine_grid(THETA, (3, 3, 3)), TypeError, r"size must be \(height, width\)"),
    "a fractional size": (
        lambda: affine_grid(THETA, (3.0, 3)), TypeError, r"size must be \(height, width\)"),
    "a negative size": (
        lambda: affine_grid(THETA, (-1, 3)), ValueError, "size must not be negative"),
    "a photo size that is no pair": (
        lambda: theta_to_box(THETA, 3), TypeError, r"photo_size must be \(height, width\)"),
    "a scale of integers": (
        lambda: attention_theta(jnp.ones(2, jnp.int32), jnp.zeros((2, 2))), TypeError,
        "scale must hold floating-point numbers"),
    "scales for another batch": (
        lambda: attention_theta(jnp.ones(1), jnp.zeros((2, 2))), ValueError,
        "differ in batch size"),
    "two batches in a chain": (
        lambda: compose(THETA, THETA[:1]), ValueError, "differ in batch size"),
    "another family in a chain": (
        lambda: compose(THETA, THETA, transform="projective"), ValueError,
        "inner must have shape"),
    "no spline in a chain": (
        lambda: compose(THETA, jnp.zeros((2, 5, 2)), transform="tps"), ValueError,
        "K \\* K control points"),
    "no theta to invert": (
        lambda: invert(jnp.zeros((2, 3, 3))), ValueError, "theta must have shape"),
    "blocks that do not divide": (
        lambda: area_average(IMAGES, 3), ValueError, "cannot be cut into blocks of 3 pixels"),
    "a fractional factor": (
        lambda: area_average(IMAGES, 2.0), ValueError,
        "factor must be a whole number from 1, got 2.0"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case):
    call, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        call()


def test_refuses_more_pixels_than_an_index_can_count():
    images = jax.ShapeDtypeStruct((1, 2**16, 2**15, 1), jnp.uint8)
    grid = jax.ShapeDtypeStruct((1, 2, 2, 2), jnp.float32)
    with pytest.raises(ValueError, match="at most 2\\*\\*31 - 1 can be addressed"):
        jax.eval_shape(grid_sample, images, grid)


@pytest.mark.parametrize("antialias", [False, True])
def test_takes_as_many_pixels_as_an_index_can_count(antialias):
    images = jax.ShapeDtypeStruct((3, 2**16, 2**15 - 1, 4), jnp.uint8)
    theta = jax.ShapeDtypeStruct((3, 2, 3), jnp.float32)
    crop = functools.partial(spatial_transform, size=SIZE, antialias=antialias)
    assert jax.eval_shape(crop, images, theta).shape == (3, *SIZE, 4)
