"""The classifier is the paper's, layer by layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax import VGGLite


def count(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def shapes_of(model: VGGLite, size: tuple[int, int]) -> dict:
    images = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
    return jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)["params"]


def test_default_is_the_papers_network():
    params = shapes_of(VGGLite(num_classes=2), (210, 315))
    convolutions = [params[f"Conv_{i}"]["kernel"].shape for i in range(10)]
    inputs = [3, 64, 64, 64, 64, 128, 128, 128, 256, 256]
    outputs = [64, 64, 64, 64, 128, 128, 128, 256, 256, 256]
    assert convolutions == [(3, 3, i, o) for i, o in zip(inputs, outputs, strict=True)]
    dense = [params[f"Dense_{i}"]["kernel"].shape for i in range(3)]
    # Four poolings leave 13 x 19 of the 210 x 315 positions.
    assert dense == [(13 * 19 * 256, 2048), (2048, 2058), (2058, 2)]
    assert count(params) == 135_679_072


def test_convolutions_start_with_he_variance():
    model = VGGLite(num_classes=2, channels=((64, 64),), dense=(16,))
    params = model.init(jax.random.key(0), jnp.zeros((1, 4, 4, 3)), train=False)["params"]
    kernel = params["Conv_1"]["kernel"]
    assert np.std(kernel) == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.02)


def test_dropout_acts_only_in_training():
    model = VGGLite(num_classes=2, channels=((4,),), dense=(32,), dropout=0.5)
    images = jax.random.normal(jax.random.key(1), (2, 6, 6, 3))
    variables = model.init(jax.random.key(0), images, train=False)
    still = model.apply(variables, images, train=False)
    np.testing.assert_array_equal(still, model.apply(variables, images, train=False))
    drops = [
        model.apply(variables, images, train=True, rngs={"dropout": jax.random.key(k)})
        for k in range(2)
    ]
    assert not np.allclose(drops[0], drops[1])


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("global_pool", [False, True])
def test_options_change_the_network(batch_norm, global_pool):
    model = VGGLite(
        num_classes=3,
        channels=((4,), (8,)),
        dense=(),
        batch_norm=batch_norm,
        global_pool=global_pool,
    )
    variables = model.init(jax.random.key(0), jnp.zeros((2, 8, 12, 3)), train=False)
    assert ("batch_stats" in variables) == batch_norm
    assert variables["params"]["Dense_0"]["kernel"].shape[0] == (8 if global_pool else 2 * 3 * 8)
    assert model.apply(variables, jnp.zeros((2, 8, 12, 3)), train=False).shape == (2, 3)


def test_statistics_of_feature_maps_stand_behind_their_means():
    options = {"channels": ((4,),), "dense": (), "global_pool": True}
    model = VGGLite(num_classes=3, global_statistics=True, **options)
    images = jax.random.normal(jax.random.key(1), (2, 8, 12, 3))
    params = model.init(jax.random.key(0), images, train=False)["params"]
    assert params["Dense_0"]["kernel"].shape[0] == 3 * 4


def test_maps_of_several_blocks_are_pooled_one_behind_the_other():
    options = {"channels": ((4,), (8,), (16,)), "dense": (), "global_pool": True}
    model = VGGLite(num_classes=3, global_blocks=2, **options)
    images = jax.random.normal(jax.random.key(1), (2, 16, 24, 3))
    params = model.init(jax.random.key(0), images, train=False)["params"]
    kernel = params["Dense_0"]["kernel"]
    assert kernel.shape[0] == 8 + 16
    # With nothing asked of the second block, what is left is the third's alone.
    params["Dense_0"]["kernel"] = kernel.at[:8].set(0)
    both = model.apply({"params": params}, images, train=False)
    params["Dense_0"]["kernel"] = kernel[8:]
    last = VGGLite(num_classes=3, **options).apply({"params": params}, images, train=False)
    np.testing.assert_allclose(both, last, atol=1e-6)


def test_bfloat16_computes_small_and_keeps_weights_and_logits_large():
    images = jax.random.normal(jax.random.key(1), (2, 8, 8, 3))
    small = VGGLite(num_classes=2, channels=((8,),), dense=(16,), dtype=jnp.bfloat16)
    large = VGGLite(num_classes=2, channels=((8,),), dense=(16,))
    variables = small.init(jax.random.key(0), images, train=False)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    logits = small.apply(variables, images, train=False)
    assert logits.dtype == jnp.float32
    exact = large.apply(variables, images, train=False)
    assert not np.array_equal(logits, exact)
    np.testing.assert_allclose(logits, exact, atol=0.1)


def test_bfloat16_does_not_round_logits():
    model = VGGLite(num_classes=2, channels=((8,),), dense=(16,), dtype=jnp.bfloat16)
    images = jax.random.normal(jax.random.key(1), (8, 8, 8, 3))
    logits = model.apply(model.init(jax.random.key(0), images, train=False), images, train=False)
    rounded = logits.astype(jnp.bfloat16).astype(jnp.float32)
    assert not np.any(logits == rounded)
