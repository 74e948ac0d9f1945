"""The whole network, and the way from a configuration to it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax import STNClassifier, VGGLite
from stn_jax.config import ModelConfig
from stn_jax.models import LocalizationNet, make_model
from stn_jax.sampling import attention_theta

SMALL = ModelConfig(
    crop_size=(8, 12),
    view_shrink=3,
    localization_channels=(4, 4),
    localization_units=8,
    channels=((4,), (4,)),
    dense=(8,),
)
PHOTOS = np.random.default_rng(0).integers(0, 256, (2, 24, 36, 3), np.uint8)


@pytest.mark.parametrize(
    ("transform", "theta_shape"),
    [
        ("affine", (2, 2, 3)),
        ("attention", (2, 2, 3)),
        ("projective", (2, 3, 3)),
        ("tps", (2, 16, 2)),
        ("identity", (2, 2, 3)),
        ("centre", (2, 2, 3)),
    ],
)
def test_returns_logits_theta_and_crops(transform, theta_shape):
    config = dataclasses.replace(SMALL, transform=transform)
    model = make_model(config, num_classes=3, mean_color=(100.0, 110.0, 120.0))
    variables = model.init(jax.random.key(0), PHOTOS, train=False)
    logits, theta, crops = model.apply(variables, PHOTOS, train=False)
    assert logits.shape == (2, 3)
    assert theta.shape == theta_shape
    assert crops.shape == (2, 8, 12, 3)
    assert ("transformer" in variables["params"]) == (transform not in ("identity", "centre"))


def test_defaults_are_the_paper_everywhere():
    """A module made without options is the one that the default configuration describes."""
    made = make_model(ModelConfig(), num_classes=2, mean_color=(127.5, 127.5, 127.5))
    plain = STNClassifier()
    for part in (lambda m: m.classifier, lambda m: m.transformer.localization):
        assert part(made) == part(plain)
    assert made.transformer == plain.transformer


def test_what_lies_outside_is_neutral_to_the_classifier():
    model = make_model(SMALL, num_classes=2, mean_color=(50.0, 60.0, 70.0))
    variables = model.init(jax.random.key(0), PHOTOS, train=False)
    away = attention_theta(jnp.ones(2), jnp.full((2, 2), 9.0))
    logits, _, _ = model.apply(variables, PHOTOS, train=False, theta=away)
    nothing = VGGLite(num_classes=2, channels=SMALL.channels, dense=SMALL.dense).apply(
        {"params": variables["params"]["classifier"]}, jnp.zeros((2, 8, 12, 3)), train=False
    )
    np.testing.assert_allclose(logits, nothing, atol=1e-6)


def test_precision_reaches_both_networks():
    model = make_model(SMALL, num_classes=2, mean_color=(1.0, 1.0, 1.0), precision="bfloat16")
    assert model.classifier.dtype == jnp.bfloat16
    assert model.transformer.localization.dtype == jnp.bfloat16
    assert LocalizationNet().dtype == jnp.float32
