"""The whole network, and the way from a configuration to it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax import SpatialTransformer, STNClassifier, VGGLite
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


@pytest.mark.parametrize("head", ["dense", "heatmap"])
@pytest.mark.parametrize("transform", ["affine", "attention", "projective", "tps", "identity"])
def test_no_photos_have_no_answers(transform, head):
    config = dataclasses.replace(SMALL, transform=transform, head=head)
    model = make_model(config, num_classes=3, mean_color=(100.0, 110.0, 120.0))

    def answer(photos):
        variables = model.init(jax.random.key(0), PHOTOS, train=False)
        return model.apply(variables, photos, train=False)

    some, none = (jax.eval_shape(answer, photos) for photos in (PHOTOS, PHOTOS[:0]))
    assert [each.shape for each in none] == [(0, *each.shape[1:]) for each in some]


@pytest.mark.parametrize("head", ["dense", "heatmap"])
@pytest.mark.parametrize(
    "transform", ["affine", "attention", "projective", "tps", "identity", "centre"]
)
def test_theta_is_float32_where_jax_has_float64_as_its_default(transform, head):
    config = dataclasses.replace(SMALL, transform=transform, head=head)
    model = make_model(config, num_classes=3, mean_color=(100.0, 110.0, 120.0))
    with jax.enable_x64(True):
        variables, outputs = jax.eval_shape(
            lambda: model.init_with_output(jax.random.key(0), PHOTOS, train=False)[::-1]
        )
    assert {leaf.dtype for leaf in jax.tree.leaves((variables, outputs))} == {np.dtype("float32")}


def test_defaults_are_the_paper_everywhere():
    """A module made without options is the one that the default configuration describes."""
    made = make_model(ModelConfig(), num_classes=2, mean_color=(127.5, 127.5, 127.5))
    plain = STNClassifier()
    for part in (lambda m: m.classifier, lambda m: m.transformer.localization):
        assert part(made) == part(plain)
    assert made.transformer == plain.transformer


CHANGED = ModelConfig(
    crop_size=(8, 12),
    transform="tps",
    antialias=True,
    oversample=2,
    head="heatmap",
    view_shrink=3,
    localization_channels=(4, 4),
    localization_units=8,
    scale=0.4,
    scale_bounds=(0.5, 1.5),
    keep_inside=True,
    control_points=5,
    channels=((4,), (4,)),
    dense=(8,),
    dropout=0.1,
    batch_norm=True,
    global_pool=True,
    global_statistics=True,
    global_blocks=2,
)
"""No option as it is by default."""


@pytest.mark.parametrize("option", [field.name for field in dataclasses.fields(ModelConfig)])
def test_every_option_changes_the_network(option):
    changed = dataclasses.replace(ModelConfig(), **{option: getattr(CHANGED, option)})
    made, default = (
        make_model(config, num_classes=2, mean_color=(127.5, 127.5, 127.5))
        for config in (changed, ModelConfig())
    )
    assert made != default


def test_what_lies_outside_is_neutral_to_the_classifier():
    model = make_model(SMALL, num_classes=2, mean_color=(50.0, 60.0, 70.0))
    variables = model.init(jax.random.key(0), PHOTOS, train=False)
    away = attention_theta(jnp.ones(2), jnp.full((2, 2), 9.0))
    logits, _, _ = model.apply(variables, PHOTOS, train=False, theta=away)
    nothing = VGGLite(num_classes=2, channels=SMALL.channels, dense=SMALL.dense).apply(
        {"params": variables["params"]["classifier"]}, jnp.zeros((2, 8, 12, 3)), train=False
    )
    np.testing.assert_allclose(logits, nothing, atol=1e-6)


def test_a_mean_colour_for_other_channels_is_refused_by_name():
    model = make_model(SMALL, num_classes=2, mean_color=(1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match="mean_color must be one number or one for each of 1"):
        jax.eval_shape(lambda: model.init(jax.random.key(0), PHOTOS[..., :1], train=False))


def test_precision_reaches_both_networks():
    model = make_model(SMALL, num_classes=2, mean_color=(1.0, 1.0, 1.0), precision="bfloat16")
    assert model.classifier.dtype == jnp.bfloat16
    assert model.transformer.localization.dtype == jnp.bfloat16
    assert LocalizationNet().dtype == jnp.float32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: LocalizationNet(head="heat map"),
            "head must be one of dense, heatmap, got 'heat map'",
        ),
        (
            lambda: LocalizationNet(transform="rigid"),
            "transform must be one of affine, attention, projective, tps, got 'rigid'",
        ),
        (lambda: LocalizationNet(scale_bounds=(1.2, 0.8)), r"0 < low < 1 < high, got \(1.2, 0.8\)"),
        (lambda: LocalizationNet(scale_bounds=(0.0, np.inf)), "0 < low < 1 < high"),
        (lambda: LocalizationNet(scale_bounds=(1.0, 1.2)), "0 < low < 1 < high"),
        (lambda: LocalizationNet(scale_bounds=(0.8, 1.0)), "0 < low < 1 < high"),
        (lambda: LocalizationNet(scale_bounds=0.5), "0 < low < 1 < high, got 0.5"),
        (lambda: LocalizationNet(units=0), "units must be a whole number from 1, got 0"),
        (lambda: LocalizationNet(scale=-1.0), "scale must be a finite number above 0, got -1.0"),
        (lambda: LocalizationNet(scale=0.0), "scale must be a finite number above 0, got 0.0"),
        (lambda: VGGLite(num_classes=0), "num_classes must be a whole number from 1, got 0"),
        (lambda: LocalizationNet(channels=()), "channels must name at least one layer"),
        (lambda: LocalizationNet(control_points=1), "control_points must be a whole number from 2"),
        (
            lambda: SpatialTransformer(fixed="center"),
            "fixed must be one of identity, centre, None, got 'center'",
        ),
        (lambda: SpatialTransformer(fixed=""), "fixed must be one of identity, centre, None"),
        (lambda: SpatialTransformer(view_shrink=0), "view_shrink must be a whole number from 1"),
        (lambda: SpatialTransformer(oversample=1.5), "oversample must be a whole number from 1"),
        (
            lambda: VGGLite(num_classes=2, global_blocks=5),
            "global_blocks must be a whole number from 1 to 4, got 5",
        ),
        (
            lambda: VGGLite(num_classes=2, global_blocks=0),
            "global_blocks must be a whole number from 1 to 4, got 0",
        ),
    ],
)
def test_attributes_that_cannot_be_meant_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_maps_of_as_many_blocks_as_there_are_can_be_pooled():
    assert VGGLite(num_classes=2, channels=((4,), (4,)), global_blocks=2).global_blocks == 2


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (LocalizationNet(), r"view .* are too small: 2 poolings need at least 4 pixels a side"),
        (VGGLite(num_classes=2), "images .* are too small: 4 poolings need at least 16 pixels"),
    ],
)
def test_images_of_which_poolings_leave_nothing_are_refused(module, message):
    options = {"train": False} if isinstance(module, VGGLite) else {}
    with pytest.raises(ValueError, match=message):
        module.init(jax.random.key(0), jnp.zeros((1, 3, 9, 3)), **options)
