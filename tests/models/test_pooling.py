"""Max pooling agrees with XLA's, gradients and ties included."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.models.pooling import max_pool, pool_globally


def xla(x):
    return nn.max_pool(x, (2, 2), strides=(2, 2))


@pytest.mark.parametrize("size", [(6, 8), (7, 9), (2, 2), (2, 5)])
@pytest.mark.parametrize("values", ["distinct", "tied"])
def test_values_and_gradient_are_those_of_xla(size: tuple[int, int], values: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, *size, 2)).astype(np.float32)
    x = jnp.asarray(np.round(x) if values == "tied" else x)
    expected, expected_vjp = jax.vjp(xla, x)
    found, found_vjp = jax.vjp(max_pool, x)
    cotangent = jnp.asarray(rng.normal(size=expected.shape).astype(np.float32))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found_vjp(cotangent)[0], expected_vjp(cotangent)[0])


def test_gradient_scatters_nothing() -> None:
    x = jnp.ones((2, 6, 8, 3))
    lowered = jax.jit(jax.grad(lambda x: jnp.sin(max_pool(x)).sum())).lower(x).as_text()
    assert "scatter" not in lowered


def test_whole_maps_leave_their_mean_largest_and_deviation() -> None:
    x = jax.random.normal(jax.random.key(0), (2, 5, 7, 3))
    mean, largest, deviation = (each(x, axis=(1, 2)) for each in (np.mean, np.max, np.std))
    np.testing.assert_allclose(pool_globally(x, statistics=False), mean, atol=1e-6)
    np.testing.assert_allclose(
        pool_globally(x, statistics=True), np.hstack([mean, largest, deviation]), atol=1e-4
    )


def test_even_maps_have_a_finite_slope() -> None:
    def total(x):
        return pool_globally(x, statistics=True).sum()

    assert np.isfinite(jax.grad(total)(jnp.ones((1, 4, 4, 2)))).all()
