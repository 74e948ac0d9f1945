"""The families of maps: what their parameters mean, and the box that they look at."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.sampling import (
    affine_grid,
    area_average,
    attention_theta,
    grid_sample,
    projective_grid,
    spatial_transform,
    theta_to_box,
    thin_plate_spline_grid,
)

SIZE = (4, 6)
AFFINE = jnp.asarray([[[0.7, 0.2, 0.1], [-0.1, 0.6, -0.2]]])
IDENTITY = jnp.asarray([[[1.0, 0, 0], [0, 1, 0]]])


@pytest.mark.parametrize("align_corners", [False, True])
def test_a_homography_without_perspective_is_affine(align_corners):
    theta = 3 * jnp.concatenate([AFFINE, jnp.asarray([[[0.0, 0, 1]]])], axis=1)
    grid = projective_grid(theta, SIZE, align_corners=align_corners)
    want = affine_grid(AFFINE, SIZE, align_corners=align_corners)
    np.testing.assert_allclose(grid, want, atol=1e-6)


def test_a_homography_divides_by_depth():
    theta = np.array([[[0.9, 0.1, 0.2], [-0.2, 0.8, 0.1], [0.3, -0.2, 1.1]]], np.float32)
    y, x = (((2 * np.arange(n) + 1) / n - 1) for n in SIZE)
    point = np.array([x[4], y[1], 1.0])
    mapped = theta[0] @ point
    np.testing.assert_allclose(
        projective_grid(theta, SIZE)[0, 1, 4], mapped[:2] / mapped[2], rtol=1e-6
    )


def test_points_behind_the_camera_read_the_fill_value():
    # Depth is 4 x: the left half of the output lies behind the camera.
    theta = jnp.asarray([[[1.0, 0, 0], [0, 1, 0], [4, 0, 0]]])
    grid = projective_grid(theta, SIZE)[0]
    assert np.all(np.isinf(grid[:, :3]))
    assert np.all(np.isfinite(grid[:, 3:]))
    images = jnp.ones((1, 5, 5, 1))
    for antialias in (False, True):
        options = {"transform": "projective", "fill_value": 9.0, "antialias": antialias}
        crop = spatial_transform(images, theta, SIZE, **options)
        np.testing.assert_array_equal(crop[0, :, :3], 9.0)
        np.testing.assert_allclose(crop[0, 1:3, 3:], 1.0, atol=1e-6)


@pytest.mark.parametrize("points", [4, 9, 16])
def test_a_spline_without_displacements_is_the_identity(points):
    grid = thin_plate_spline_grid(jnp.zeros((2, points, 2)), SIZE)
    np.testing.assert_allclose(grid[1], affine_grid(IDENTITY, SIZE)[0], atol=1e-6)


def test_a_spline_meets_its_control_points(rng):
    moves = rng.uniform(-0.3, 0.3, size=(1, 16, 2)).astype(np.float32)
    # With align_corners the pixels of a 4 x 4 output are the control points.
    grid = thin_plate_spline_grid(moves, (4, 4), align_corners=True)
    rest = affine_grid(IDENTITY, (4, 4), align_corners=True)
    np.testing.assert_allclose(grid - rest, moves.reshape(1, 4, 4, 2), atol=1e-5)


def test_a_spline_bends_no_straight_map():
    lattice = affine_grid(IDENTITY, (3, 3), align_corners=True).reshape(1, 9, 2)
    moved = affine_grid(AFFINE, (3, 3), align_corners=True).reshape(1, 9, 2)
    grid = thin_plate_spline_grid(moved - lattice, SIZE)
    np.testing.assert_allclose(grid, affine_grid(AFFINE, SIZE), atol=1e-5)


def test_regularization_smooths_a_spline():
    moves = jnp.zeros((1, 9, 2)).at[0, 4].set(0.5)
    peaks = [
        float(
            thin_plate_spline_grid(moves, (3, 3), align_corners=True, regularization=r)[0, 1, 1, 0]
        )
        for r in (0.0, 0.1, 10.0)
    ]
    assert peaks[0] == pytest.approx(0.5, abs=1e-5)
    assert peaks[0] > peaks[1] > peaks[2] > 0


def test_attention_looks_at_a_window():
    theta = attention_theta(jnp.asarray([0.5, 0.25]), jnp.asarray([[0.2, -0.1], [0.0, 0.5]]))
    want = [[[0.5, 0, 0.2], [0, 0.5, -0.1]], [[0.25, 0, 0], [0, 0.25, 0.5]]]
    np.testing.assert_allclose(theta, want)


THETAS = {
    "affine": AFFINE,
    "attention": attention_theta(jnp.asarray([0.5]), jnp.asarray([[0.2, -0.1]])),
    "projective": jnp.asarray([[[0.9, 0.1, 0.2], [-0.2, 0.8, 0.1], [0.3, -0.2, 1.1]]]),
    "tps": jnp.asarray([[[0.1, 0.2], [-0.1, 0.1], [0.05, -0.2], [-0.2, 0.1]]]),
}


@pytest.mark.parametrize("transform", THETAS)
def test_fused_and_separate_agree_for_every_family(transform, rng):
    images = rng.normal(size=(1, 7, 9, 2)).astype(np.float32)
    grids = {"projective": projective_grid, "tps": thin_plate_spline_grid}
    theta = THETAS[transform]
    separate = grid_sample(images, grids.get(transform, affine_grid)(theta, SIZE))
    fused = spatial_transform(images, theta, SIZE, transform=transform)
    np.testing.assert_allclose(fused, separate, atol=1e-5)


@pytest.mark.parametrize("align_corners", [False, True])
def test_the_box_of_the_identity(align_corners):
    box = theta_to_box(IDENTITY, (40, 60), align_corners=align_corners)[0]
    inset = 0.5 if align_corners else 0.0
    left, top, right, bottom = inset, inset, 60 - inset, 40 - inset
    np.testing.assert_allclose(box, [[left, top], [right, top], [right, bottom], [left, bottom]])


def test_the_box_of_a_window_off_the_centre():
    box = theta_to_box(THETAS["attention"], (40, 60), transform="attention")[0]
    np.testing.assert_allclose(box, [[21, 8], [51, 8], [51, 28], [21, 28]], rtol=1e-6)


@pytest.mark.parametrize("transform", THETAS)
def test_the_box_has_the_corners_of_the_grid(transform):
    # With align_corners the first and last positions of a grid are its corners.
    grids = {"projective": projective_grid, "tps": thin_plate_spline_grid}
    theta = THETAS[transform]
    grid = grids.get(transform, affine_grid)(theta, (2, 2), align_corners=True)[0]
    box = theta_to_box(theta, (40, 60), transform=transform)[0]
    corners = jnp.stack([grid[0, 0], grid[0, 1], grid[1, 1], grid[1, 0]])
    np.testing.assert_allclose(box, (corners + 1) * jnp.asarray([[30.0, 20.0]]), atol=1e-4)


def test_the_box_of_a_corner_behind_the_camera_is_infinite():
    theta = jnp.asarray([[[1.0, 0, 0], [0, 1, 0], [4, 0, 0]]])
    box = theta_to_box(theta, (40, 60), transform="projective")[0]
    assert np.all(np.isinf(box[np.array([0, 3])]))
    assert np.all(np.isfinite(box[np.array([1, 2])]))


def test_area_average_is_the_mean_of_each_block(rng):
    images = rng.integers(0, 256, size=(2, 6, 9, 3), dtype=np.uint8)
    small = area_average(images, 3)
    assert small.dtype == jnp.float32
    np.testing.assert_allclose(small[1, 1, 2], images[1, 3:6, 6:9].mean(axis=(0, 1)), rtol=1e-6)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(("batch", "size"), [(0, (3, 2)), (2, (0, 3)), (2, (5, 0)), (0, (0, 0))])
@pytest.mark.parametrize(
    ("transform", "shape"),
    [("affine", (2, 3)), ("projective", (3, 3)), ("attention", (2, 3)), ("tps", (9, 2))],
)
def test_empty_batches_and_outputs(transform, shape, batch, size, antialias):
    def total(images, theta):
        crops = spatial_transform(images, theta, size, transform=transform, antialias=antialias)
        assert crops.shape == (batch, *size, 3)
        return crops.sum()

    images, theta = jnp.ones((batch, 8, 9, 3)), jnp.zeros((batch, *shape))
    assert total(images, theta) == 0
    gradients = jax.grad(total, argnums=(0, 1))(images, theta)
    assert [gradient.shape for gradient in gradients] == [images.shape, theta.shape]
