"""What reaches a pixel of a magnified image in half precision, and theta that is not finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.sampling import spatial_transform


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
