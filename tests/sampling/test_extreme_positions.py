"""Positions that are huge or not numbers, and pixels that are not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.sampling import grid_sample, spatial_transform

EXTREME = [np.nan, np.inf, -np.inf, 1e38, -1e38, 3e9, -3e9]
FILL = 7.0
SIDE = 5
IMAGE = jnp.arange(1.0, SIDE * SIDE + 1).reshape(1, SIDE, SIDE, 1)


def extreme_grid(y=0.0):
    return jnp.asarray([[[[value, y], [y, value], [value, value]] for value in EXTREME]])


def sample(grid, **options):
    return grid_sample(IMAGE, grid, fill_value=FILL, **options)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_zeros_padding_gives_the_fill_value(mode, align_corners):
    crops = sample(extreme_grid(), mode=mode, align_corners=align_corners)
    assert np.all(crops == FILL)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_border_padding_gives_the_edge(mode):
    crops = sample(extreme_grid(), mode=mode, padding_mode="border")[0, ..., 0]
    right = np.array(EXTREME) > 0  # NaN counts as left
    middle, last = SIDE // 2, SIDE - 1
    x = np.where(right, last, 0)
    expected = np.stack(
        [IMAGE[0, middle, x, 0], IMAGE[0, x, middle, 0], IMAGE[0, x, x, 0]], axis=-1
    )
    np.testing.assert_array_equal(crops, expected)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_reflection_padding_gives_the_first_pixel_along_the_lost_axis(mode):
    crops = sample(extreme_grid(), mode=mode, padding_mode="reflection")[0, ..., 0]
    middle = SIDE // 2
    expected = [IMAGE[0, middle, 0, 0], IMAGE[0, 0, middle, 0], IMAGE[0, 0, 0, 0]]
    np.testing.assert_array_equal(crops, np.tile(expected, (len(EXTREME), 1)))


def test_no_gradient_flows_from_them(mode, padding_mode, align_corners):
    def total(image, grid):
        options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
        return grid_sample(image, grid, fill_value=FILL, **options).sum()

    grid = extreme_grid(y=0.1)
    image_gradient, grid_gradient = jax.grad(total, argnums=(0, 1))(IMAGE, grid)
    lost = ~(np.abs(grid) < 1)
    assert np.all(np.isfinite(grid_gradient))
    assert np.all(np.asarray(grid_gradient)[lost] == 0)
    assert np.all(np.isfinite(image_gradient))
    if padding_mode == "zeros":
        assert np.all(image_gradient == 0)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
def test_theta_keeps_a_finite_gradient(padding_mode, antialias):
    def total(theta):
        options = {"antialias": antialias, "padding_mode": padding_mode, "fill_value": FILL}
        return spatial_transform(IMAGE, theta, (3, 3), **options).sum()

    value_and_gradient = jax.jit(jax.value_and_grad(total))
    for value in EXTREME:
        theta = jnp.asarray([[[0.9, 0.0, value], [0.1, 0.8, 0.0]]])
        crop, gradient = value_and_gradient(theta)
        assert np.isfinite(crop)
        assert np.all(np.isfinite(gradient))
        assert np.all(gradient[0, 0] == 0)


def test_a_fill_value_that_is_nan_stays_outside():
    identity = jnp.asarray([[[1.0, 0, 0], [0, 1, 0]]])
    crop = spatial_transform(IMAGE, 2 * identity, (SIDE, SIDE), fill_value=np.nan)[0, ..., 0]
    inside = np.zeros((SIDE, SIDE), bool)
    inside[1:4, 1:4] = True
    np.testing.assert_array_equal(np.isfinite(crop), inside)


def test_a_fill_value_that_is_nan_leaves_the_gradient_inside_alone():
    def total(theta, fill_value):
        return spatial_transform(IMAGE, theta, (3, 3), fill_value=fill_value).sum()

    theta = jnp.asarray([[[0.4, 0.1, 0.2], [-0.1, 0.4, 0.0]]])  # nowhere near the edge
    gradient = jax.grad(total)(theta, jnp.asarray(np.nan))
    np.testing.assert_array_equal(gradient, jax.grad(total)(theta, 0.0))


def test_a_pixel_that_is_nan_stays_inside():
    image = IMAGE.at[0, 2, -1].set(jnp.nan)
    crop = grid_sample(image, jnp.asarray([[[[1.5, 0.0], [-0.5, 0.0]]]]), fill_value=FILL)
    np.testing.assert_allclose(crop[0, 0, :, 0], [FILL, 11.75])


@pytest.mark.parametrize("mark", [np.nan, np.inf])
@pytest.mark.parametrize("jacobian", [jax.jacfwd, jax.jacrev])
def test_a_fill_value_that_marks_the_outside_leaves_slopes_finite(mark, jacobian):
    def crops(theta):
        return spatial_transform(IMAGE, theta, (4, 6), fill_value=mark)

    inside = jnp.asarray([[[0.5, 0.1, 0.1], [-0.1, 0.5, 0.05]]])
    assert np.isfinite(crops(inside)).all()
    assert np.isfinite(jacobian(crops)(inside)).all()
    beyond = 2 * inside
    outside = ~np.isfinite(crops(beyond))
    assert outside.any()
    seen = jacobian(lambda theta: jnp.where(outside, 0.0, crops(theta)))(beyond)
    assert np.isfinite(seen).all()
    assert np.abs(seen).max() > 0
