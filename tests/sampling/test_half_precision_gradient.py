"""What few bits would lose: half precision, and homographies that are huge, tiny or not finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.sampling import invert, spatial_transform


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_the_gradient_of_a_magnified_image_is_added_in_float32(dtype):
    images = jnp.zeros((1, 4, 4, 3), dtype)
    theta = jnp.array([[[1.0, 0, 0], [0, 1, 0]]])

    def total(images):
        out = spatial_transform(images, theta, (128, 128), padding_mode="border")
        return out.astype(jnp.float32).sum()

    gradient = np.asarray(jax.grad(total)(images), np.float64)
    np.testing.assert_allclose(gradient.sum(), 128 * 128 * 3, rtol=0.01)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_homography_that_is_not_finite_leaves_the_others_their_gradient(value):
    images = jax.random.normal(jax.random.key(0), (9, 6, 8, 1))
    theta = np.tile(np.eye(3, dtype=np.float32), (9, 1, 1))
    for entry in range(9):
        theta[entry].flat[entry] = value

    def total(theta):
        out = spatial_transform(images, theta, (5, 7), transform="projective")
        return jnp.where(jnp.isfinite(out), out, 0.0).sum()

    assert np.isfinite(np.asarray(jax.grad(total)(jnp.asarray(theta)))).all()


def test_a_homography_without_any_depth_reads_the_fill_value_and_has_no_gradient():
    images = jax.random.normal(jax.random.key(0), (1, 6, 8, 1))

    def crop(theta):
        return spatial_transform(images, theta, (5, 7), transform="projective", fill_value=9.0)

    theta = jnp.eye(3).at[2].set(0.0)[None]
    np.testing.assert_array_equal(crop(theta), jnp.full((1, 5, 7, 1), 9.0))
    np.testing.assert_array_equal(jax.grad(lambda theta: crop(theta).sum())(theta), 0 * theta)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("scale", [1 / 256, 0.9, 300.0])
def test_an_inverse_in_half_precision_is_that_of_float32_rounded(dtype, scale):
    theta = jnp.asarray([[[scale, 0.3 * scale, 0.25], [-0.2 * scale, scale, 0.5]]], dtype)
    exact = invert(theta.astype(jnp.float32)).astype(dtype)
    found = invert(theta)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, exact)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("multiple", [1e-25, 1e-19, 1e19, 1e25])
def test_every_multiple_of_a_homography_has_the_same_crop_and_gradient(multiple, antialias, rng):
    images = jnp.asarray(rng.normal(size=(1, 6, 8, 2)), jnp.float32)
    theta = jnp.asarray([[[0.9, 0.1, 0.0], [-0.1, 0.8, 0.1], [0.2, 0.1, 1.0]]])

    def crop(theta):
        return spatial_transform(images, theta, (3, 4), transform="projective", antialias=antialias)

    def gradient(theta):
        return jax.grad(lambda theta: jnp.mean(crop(theta) ** 2))(theta)

    np.testing.assert_allclose(crop(multiple * theta), crop(theta), rtol=1e-4, atol=1e-5)
    found = gradient(multiple * theta) * multiple
    np.testing.assert_allclose(found, gradient(theta), rtol=1e-3, atol=1e-4)
