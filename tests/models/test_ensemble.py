"""Classifiers that learn each for itself and answer together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.config import ModelConfig
from stn_jax.models import make_model
from stn_jax.models.ensemble import Ensemble
from stn_jax.models.vgg import VGGLite

IMAGES = jax.random.normal(jax.random.key(1), (5, 8, 12, 3))


def make_member(**options) -> VGGLite:
    return VGGLite(num_classes=3, channels=((4,), (4,)), dense=(8,), **options)


@pytest.fixture(scope="module")
def ensemble():
    return Ensemble(members=tuple(make_member(batch_norm=True) for _ in range(3)))


@pytest.fixture(scope="module")
def variables(ensemble):
    return ensemble.init(jax.random.key(0), IMAGES, train=False)


def of_member(variables, number):
    return {kind: tree[f"members_{number}"] for kind, tree in variables.items()}


def test_the_answer_is_the_mean_of_the_members_probabilities(ensemble, variables):
    logits = [
        member.apply(of_member(variables, number), IMAGES, train=False)
        for number, member in enumerate(ensemble.members)
    ]
    assert np.abs(logits[0] - logits[1]).max() > 0.1  # they begin apart
    answer = ensemble.apply(variables, IMAGES, train=False)
    expected = np.mean([jax.nn.softmax(each) for each in logits], axis=0)
    np.testing.assert_allclose(np.exp(answer), expected, atol=1e-6)


def test_members_learn_each_for_itself(ensemble, variables):
    """The gradient of each member is what it would be alone."""
    labels = jnp.array([0, 1, 2, 0, 1])
    rngs = {"dropout": jax.random.key(2)}

    def loss(params):
        logits, _ = ensemble.apply(
            {**variables, "params": params}, IMAGES, train=True, rngs=rngs, mutable=["batch_stats"]
        )
        assert logits.shape == (5, 3, 3)
        return -jax.nn.log_softmax(logits)[jnp.arange(5), :, labels].sum()

    gradient = jax.grad(loss)(variables["params"])
    other = jax.tree.map(lambda leaf: 2 * leaf, variables["params"]["members_2"])
    changed = jax.grad(loss)({**variables["params"], "members_2": other})
    for number in (0, 1):
        name = f"members_{number}"
        jax.tree.map(np.testing.assert_array_equal, gradient[name], changed[name])
        assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(gradient[name])) > 0.01


def test_members_drop_other_units(ensemble, variables):
    same = {kind: dict.fromkeys(tree, tree["members_0"]) for kind, tree in variables.items()}
    rngs = {"dropout": jax.random.key(2)}
    logits, _ = ensemble.apply(same, IMAGES, train=True, rngs=rngs, mutable=["batch_stats"])
    assert np.abs(logits[:, 0] - logits[:, 1]).max() > 0.01


def test_one_member_is_the_plain_network():
    def classifier(members):
        return make_model(
            ModelConfig(members=members), num_classes=2, mean_color=(0.0, 0.0, 0.0)
        ).classifier

    assert isinstance(classifier(1), VGGLite)
    assert classifier(3).members == (classifier(1),) * 3
