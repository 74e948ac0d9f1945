"""configs/distorted_mnist.py: networks with and without the transformer that can be compared."""

import dataclasses
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from stn_jax.config import MNIST_SIZES, Config, ConfigError
from stn_jax.models import STNClassifier, make_model

FILE = runpy.run_path(str(Path(__file__).parents[1] / "configs" / "distorted_mnist.py"))
TRANSFORMS = ("affine", "attention", "projective", "tps", "identity")
LEARNED = TRANSFORMS[:-1]
NETWORKS = [
    *((transform, None) for transform in TRANSFORMS),
    *((transform, "dense") for transform in LEARNED),
]
"""Family and head; None: the configuration's."""


def make(config: Config) -> STNClassifier:
    return make_model(config.model, num_classes=10, mean_color=(20.0,))


@pytest.mark.parametrize("task", MNIST_SIZES)
@pytest.mark.parametrize(("transform", "head"), NETWORKS)
def test_every_network_has_as_many_weights(task, transform, head):
    config = FILE["get_config"](task, transform, head)
    photo = jnp.zeros((1, *config.data.photo_size, 1), jnp.uint8)
    shapes = jax.eval_shape(
        lambda: make(config).init(jax.random.key(0), photo, train=False)["params"]
    )
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert count == pytest.approx(FILE["WEIGHTS"], rel=0.005)
    assert ("transformer" in shapes) == (transform != "identity")


@pytest.mark.parametrize("task", MNIST_SIZES)
def test_what_differs_without_the_transformer_is_the_crop_alone(task):
    learned, whole = (FILE["get_config"](task, transform) for transform in ("affine", "identity"))
    assert whole.model.crop_size == whole.data.photo_size == MNIST_SIZES[task]
    assert learned.model.crop_size == (28, 28)
    assert learned.model.channels == whole.model.channels
    assert learned.data == whole.data
    rate = whole.train.localization_rate  # of a net that only one of them has
    assert dataclasses.replace(learned.train, localization_rate=rate) == whole.train


def test_heat_maps_are_for_what_can_have_one_and_can_be_declined():
    assert FILE["get_config"]("RTS", "identity").model.head == "dense"
    for transform in LEARNED:
        by_default, declined = (FILE["get_config"]("RTS", transform, h) for h in (None, "dense"))
        assert (by_default.model.head, declined.model.head) == ("heatmap", "dense")
        assert declined.train.localization_rate < by_default.train.localization_rate
    with pytest.raises(ConfigError, match=r"heatmap needs a learned .*, not identity"):
        FILE["get_config"]("RTS", "identity", "heatmap")


def test_only_dense_heads_sample_the_larger_images_twice_as_densely():
    for transform, head in NETWORKS:
        twice = {
            task
            for task in MNIST_SIZES
            if FILE["get_config"](task, transform, head).model.oversample == 2
        }
        assert twice == ({"RTS", "TC"} if head == "dense" else set())
