"""What holds for any image and any map: exact copies, linearity, bounds, order of the batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stn_jax.sampling import (
    affine_grid,
    compose,
    grid_sample,
    invert,
    projective_grid,
    spatial_transform,
    thin_plate_spline_grid,
)

IDENTITY = jnp.asarray([[[1.0, 0, 0], [0, 1, 0]]])
OTHER_FAMILIES = {
    "projective": (projective_grid, np.eye(3)),
    "tps": (thin_plate_spline_grid, np.zeros((9, 2))),
}
"""Grid and identity."""
SHAPE = (2, 6, 9, 3)
SIZE = (4, 5)

laws = settings(max_examples=15, deadline=None, derandomize=True)
images = hnp.arrays(np.float32, SHAPE, elements=st.floats(-8, 8, width=16))
thetas = hnp.arrays(np.float32, (2, 2, 3), elements=st.floats(-2, 2, width=16))
paddings = st.sampled_from(["zeros", "border", "reflection"])
transform = jax.jit(
    spatial_transform,
    static_argnames=("size", "mode", "padding_mode", "antialias", "align_corners"),
)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("side", "error"), [(4, 1e-6), (945, 1e-5)])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
def test_the_identity_reproduces_the_image(side, error, padding_mode, align_corners, rng):
    image = rng.uniform(0.5, 1, size=(1, side, side + 1, 1)).astype(np.float32)
    options = {"padding_mode": padding_mode, "align_corners": align_corners}
    crop = spatial_transform(image, IDENTITY, (side, side + 1), **options)
    assert np.max(np.abs(crop - image)) <= error


def test_a_quarter_turn_is_exact(rng):
    image = rng.normal(size=(1, 7, 7, 2)).astype(np.float32)
    turn = jnp.asarray([[[0.0, -1, 0], [1, 0, 0]]])
    crop = spatial_transform(image, turn, (7, 7))
    np.testing.assert_array_equal(crop[0], np.rot90(image[0]))


@pytest.mark.parametrize("shift", [-3, -1, 0, 1, 2])
def test_a_shift_by_whole_pixels_is_exact(shift, rng):
    image = rng.normal(size=(1, 5, 8, 1)).astype(np.float32)
    theta = IDENTITY.at[0, 0, 2].set(2 * shift / 8)
    crop = spatial_transform(image, theta, (5, 8), fill_value=9.0)
    expected = np.full_like(image, 9.0)
    for column in range(8):
        if 0 <= column + shift < 8:
            expected[:, :, column] = image[:, :, column + shift]
    np.testing.assert_array_equal(crop, expected)


@pytest.mark.parametrize("align_corners", [False, True])
def test_reflections_meet_at_the_same_pixel(align_corners):
    # 82 times the float32 next to 1 / 82, by which XLA would divide, is less than 1.
    side = 82 + align_corners
    row = jnp.arange(side, dtype=jnp.float32)[None, None, :, None]
    edges = np.arange(-9, 10, 2)
    grid = jnp.stack([jnp.asarray(edges, jnp.float32), jnp.zeros(len(edges))], axis=-1)

    @jax.jit
    def sample(grid):
        return grid_sample(row, grid, padding_mode="reflection", align_corners=align_corners)

    expected = np.where(edges % 4 == 1, side - 1, 0)  # 1 is the last pixel's, 3 the first's again
    np.testing.assert_array_equal(sample(grid[None, None])[0, 0, :, 0], expected)


@laws
@given(images, images, thetas, st.floats(-2, 2, width=16), paddings, st.booleans())
def test_linear_in_the_image(a, b, theta, factor, padding_mode, antialias):
    def crop(image):
        return transform(image, theta, SIZE, padding_mode=padding_mode, antialias=antialias)

    mixed = crop(a + np.float32(factor) * b)
    np.testing.assert_allclose(mixed, crop(a) + factor * crop(b), rtol=0, atol=1e-4)


@laws
@given(images, thetas, paddings, st.sampled_from(["bilinear", "nearest"]))
def test_stays_within_the_image_and_the_fill_value(image, theta, padding_mode, mode):
    crop = transform(image, theta, SIZE, padding_mode=padding_mode, mode=mode)
    low, high = min(image.min(), 0), max(image.max(), 0)
    assert np.min(crop) >= low - 1e-5
    assert np.max(crop) <= high + 1e-5


@laws
@given(thetas, paddings, st.booleans(), st.floats(-100, 100, width=16))
def test_a_constant_image_stays_constant_inside(theta, padding_mode, antialias, value):
    image = np.full(SHAPE, value, np.float32)
    options = {"padding_mode": padding_mode, "antialias": antialias, "fill_value": value}
    crop = transform(image, theta, SIZE, **options)
    np.testing.assert_allclose(crop, value, rtol=1e-5, atol=1e-5)


@laws
@given(images, thetas, paddings)
def test_the_order_of_the_batch_does_not_matter(image, theta, padding_mode):
    crop = transform(image, theta, SIZE, padding_mode=padding_mode)
    turned = transform(image[::-1], theta[::-1], SIZE, padding_mode=padding_mode)
    np.testing.assert_array_equal(turned[::-1], crop)


@laws
@given(thetas, thetas)
def test_grids_compose_as_thetas_do(outer, inner):
    composed = affine_grid(compose(outer, inner), SIZE)
    points = affine_grid(inner, SIZE)
    moved = jnp.einsum("bij,bhwj->bhwi", outer[:, :, :2], points) + outer[:, None, None, :, 2]
    np.testing.assert_allclose(composed, moved, rtol=0, atol=1e-5)


@laws
@given(thetas, st.sampled_from(sorted(OTHER_FAMILIES)), st.integers(0, 2**32 - 1))
def test_an_affine_map_composes_with_every_family(outer, transform, seed):
    grid, identity = OTHER_FAMILIES[transform]
    inner = identity + np.random.default_rng(seed).uniform(-0.2, 0.2, (2, *identity.shape))
    composed = compose(outer, inner.astype(np.float32), transform=transform)
    points = grid(inner.astype(np.float32), SIZE)
    moved = jnp.einsum("bij,bhwj->bhwi", outer[:, :, :2], points) + outer[:, None, None, :, 2]
    np.testing.assert_allclose(grid(composed, SIZE), moved, rtol=1e-4, atol=1e-4)


@laws
@given(thetas)
def test_an_inverse_undoes_its_theta(theta):
    theta = theta + 5 * np.asarray(IDENTITY)  # far from flat
    for both in (compose(theta, invert(theta)), compose(invert(theta), theta)):
        np.testing.assert_allclose(both, np.tile(IDENTITY, (2, 1, 1)), rtol=0, atol=1e-5)


@laws
@given(images, thetas)
def test_fused_and_separate_agree(image, theta):
    separate = grid_sample(image, affine_grid(theta, SIZE))
    np.testing.assert_allclose(transform(image, theta, SIZE), separate, rtol=0, atol=1e-4)


def test_sampling_twice_reads_where_the_composition_does(rng):
    # A smooth image: sampling it twice differs from sampling it once only by interpolation.
    y, x = np.mgrid[0:64, 0:64] / 64
    image = jnp.asarray(np.sin(3 * x + 1) * np.cos(2 * y), jnp.float32)[None, :, :, None]
    outer = jnp.asarray([[[0.8, 0.1, 0.05], [-0.1, 0.7, 0.1]]])
    inner = jnp.asarray([[[0.6, -0.2, -0.1], [0.2, 0.7, 0.05]]])
    twice = spatial_transform(spatial_transform(image, outer, (64, 64)), inner, (64, 64))
    once = spatial_transform(image, compose(outer, inner), (64, 64))
    np.testing.assert_allclose(twice, once, atol=1e-3)
