"""The networks where types say how arrays are divided: explicit sharding, and `jax.shard_map`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from stn_jax.config import ModelConfig
from stn_jax.models import make_model
from stn_jax.sampling import affine_grid, grid_sample

pytestmark = pytest.mark.usefixtures("quick_compilation")

NETWORKS = {
    "the paper's": {},
    "a spline behind a heat map": {"transform": "tps", "head": "heatmap", "antialias": True},
    "a fixed crop": {"transform": "centre", "batch_norm": True, "global_pool": True},
}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def mesh():
    return jax.make_mesh((1,), ("data",), axis_types=(AxisType.Explicit,))


def divided(array):
    return jax.device_put(jnp.asarray(array), PartitionSpec("data"))


def gradient_of(network):
    """The gradient of a network's weights, as a function of them and photos; weights; photos."""
    config = ModelConfig(
        crop_size=(16, 24), channels=((4,), (6,)), dense=(8,), view_shrink=2, **NETWORKS[network]
    )
    model = make_model(config, num_classes=2, mean_color=(1.0, 2.0, 3.0))
    photos = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), np.uint8)
    variables = jax.jit(model.init, static_argnames="train")(
        jax.random.key(0), photos[:1], train=False
    )

    @jax.grad
    def gradient(params, photos):
        logits = model.apply({**variables, "params": params}, photos, train=False)[0]
        return jnp.mean(logits**2)

    return gradient, variables["params"], photos


def assert_same_gradients(found, expected):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * np.abs(other).max())


@pytest.mark.parametrize("network", NETWORKS)
def test_gradients_are_those_of_arrays_that_are_not_divided(network, mesh):
    gradient, params, photos = gradient_of(network)
    with jax.set_mesh(mesh):
        found = jax.jit(gradient)(jax.device_put(params, PartitionSpec()), divided(photos))
    assert_same_gradients(found, jax.jit(gradient)(params, photos))


@pytest.mark.parametrize("network", NETWORKS)
def test_gradients_inside_shard_map_are_those_outside(network):
    gradient, params, photos = gradient_of(network)
    whole, by_device = PartitionSpec(), PartitionSpec("data")
    # The types are those of many devices with one, too.
    divided_gradient = jax.shard_map(
        gradient,
        mesh=jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,)),
        in_specs=(whole, by_device),
        out_specs=whole,
    )
    assert_same_gradients(
        jax.jit(divided_gradient)(params, photos), jax.jit(gradient)(params, photos)
    )


def test_the_slope_of_a_fill_value_varies_as_the_photos_do(rng):
    photos = rng.normal(size=(2, 6, 9, 3)).astype(np.float32)
    grid = affine_grid(np.tile(2 * np.eye(2, 3, dtype=np.float32), (2, 1, 1)), (4, 5))

    def slope(photos, grid):
        return jax.jvp(lambda fill: grid_sample(photos, grid, fill_value=fill), (0.0,), (1.0,))[1]

    divided_slope = jax.shard_map(
        slope,
        mesh=jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,)),
        in_specs=(PartitionSpec("data"), PartitionSpec()),
        out_specs=PartitionSpec("data"),
    )
    np.testing.assert_array_equal(divided_slope(photos, grid), slope(photos, grid))


def test_crops_are_divided_as_the_photos_are(mesh, rng):
    photos = rng.normal(size=(2, 6, 9, 3)).astype(np.float32)
    grid = affine_grid(np.tile(np.eye(2, 3, dtype=np.float32), (2, 1, 1)), (4, 5))
    expected = grid_sample(photos, grid)
    with jax.set_mesh(mesh):
        for arrays in ((divided(photos), divided(grid)), (divided(photos), jnp.asarray(grid))):
            crops = grid_sample(*arrays)
            assert jax.typeof(crops).sharding.spec[0] == "data"
            np.testing.assert_array_equal(crops, expected)
