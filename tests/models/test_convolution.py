"""The convolution is XLA's; only the way its kernels' gradient is added up is ours."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from stn_jax.models.convolution import PARTS, conv_general_dilated

LAYOUT = ("NHWC", "HWIO", "NHWC")


def arrays(batch: int):
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.normal(size=(batch, 7, 9, 3)))
    kernel = jnp.asarray(rng.normal(size=(3, 3, 3, 4)))
    return images, kernel


def ours(images, kernel):
    return conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=LAYOUT)


def xla(images, kernel):
    return lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=LAYOUT)


@pytest.mark.parametrize("batch", [1, 5, PARTS, 2 * PARTS + 3])
def test_values_and_gradients_are_those_of_xla(batch: int) -> None:
    with jax.enable_x64(True):
        images, kernel = arrays(batch)
        expected, expected_vjp = jax.vjp(xla, images, kernel)
        found, found_vjp = jax.vjp(ours, images, kernel)
        cotangent = jnp.cos(jnp.arange(expected.size, dtype=float)).reshape(expected.shape)
        np.testing.assert_array_equal(found, expected)
        for one, other in zip(found_vjp(cotangent), expected_vjp(cotangent), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_forward_mode_agrees() -> None:
    with jax.enable_x64(True):
        images, kernel = arrays(5)
        tangents = (jnp.sin(images), jnp.cos(kernel))
        _, expected = jax.jvp(xla, (images, kernel), tangents)
        _, found = jax.jvp(ours, (images, kernel), tangents)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_gradient_of_the_kernel_reads_few_images_at_a_time_on_a_cpu() -> None:
    images, kernel = (array.astype(jnp.float32) for array in arrays(2 * PARTS))
    gradient = jax.grad(lambda kernel: jnp.sin(ours(images, kernel)).sum())
    lowered = jax.jit(gradient).lower(kernel).as_text()
    assert lowered.count("stablehlo.convolution") >= PARTS
