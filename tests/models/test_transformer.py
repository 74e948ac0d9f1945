"""The transformer starts as the identity, learns, and looks where it is told."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax import LocalizationNet, SpatialTransformer
from stn_jax.models.localization import _within_covered, keep_centre_inside
from stn_jax.sampling import (
    affine_grid,
    attention_theta,
    projective_grid,
    spatial_transform,
    thin_plate_spline_grid,
)

PHOTO = (24, 36)
CROP = (8, 12)
FAMILIES = ["affine", "attention", "projective", "tps"]
GRIDS = {"projective": projective_grid, "tps": thin_plate_spline_grid}


def photos(count: int = 2) -> jax.Array:
    return jax.random.randint(jax.random.key(7), (count, *PHOTO, 3), 0, 256, jnp.int32).astype(
        jnp.uint8
    )


def make(transform: str = "affine", **options) -> SpatialTransformer:
    localization = LocalizationNet(transform=transform, channels=(4, 4), units=8, **options)
    return SpatialTransformer(localization=localization, crop_size=CROP, view_shrink=3)


@pytest.mark.parametrize("transform", FAMILIES)
def test_identity_before_training(transform):
    model = make(transform)
    variables = model.init(jax.random.key(0), photos())
    crops, theta = model.apply(variables, photos())
    identity = attention_theta(jnp.ones(2), jnp.zeros((2, 2)))
    shrunk = spatial_transform(photos(), identity, CROP, fill_value=127.5)
    np.testing.assert_allclose(crops, shrunk, atol=1e-3)
    assert theta.dtype == jnp.float32


@pytest.mark.parametrize("transform", FAMILIES)
@pytest.mark.parametrize("antialias", [False, True])
def test_the_crop_teaches_the_localization_net(transform, antialias):
    model = make(transform).clone(antialias=antialias)
    images = photos()
    variables = model.init(jax.random.key(0), images)
    target = jax.random.uniform(jax.random.key(3), (2, *CROP, 3)) * 255

    def loss(params):
        crops, _ = model.apply({"params": params}, images)
        return jnp.mean((crops - target) ** 2)

    gradient = jax.grad(loss)(variables["params"])
    last = gradient["localization"]["Dense_1"]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    assert np.abs(last["bias"]).min() > 0


def test_oversampled_crops_are_means_of_denser_ones():
    images = photos()
    model = make().clone(oversample=3)
    variables = model.init(jax.random.key(0), images)
    theta = attention_theta(jnp.array([0.9, 0.4]), jnp.array([[0.1, 0.0], [-0.2, 0.3]]))
    crops, _ = model.apply(variables, images, theta=theta)
    dense = spatial_transform(images, theta, (3 * CROP[0], 3 * CROP[1]), fill_value=127.5)
    blocks = np.asarray(dense).reshape(2, CROP[0], 3, CROP[1], 3, 3)
    np.testing.assert_allclose(crops, blocks.mean(axis=(2, 4)), atol=1e-3)


@pytest.mark.parametrize(
    ("view_shrink", "size", "message"),
    [
        (None, (631, 945), r"photo size 631 945 .* such as 630 945, or choose view_shrink"),
        (4, (630, 945), "photo size 630 945 is not divisible by view_shrink 4"),
        (9, (18, 27), "too small a view .* or a smaller view_shrink"),
    ],
)
def test_photos_that_leave_no_useful_view_are_refused(view_shrink, size, message):
    model = SpatialTransformer(crop_size=CROP, view_shrink=view_shrink)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *size, 3), jnp.uint8))


def corners(theta: jax.Array, transform: str) -> np.ndarray:
    """Where the four corners of the crops lie, [batch, 2, 2, 2], in [-1, 1]."""
    return np.asarray(GRIDS.get(transform, affine_grid)(theta, (2, 2), align_corners=True))


@pytest.mark.parametrize("transform", FAMILIES)
def test_heatmap_starts_in_the_middle(transform):
    net = LocalizationNet(transform=transform, head="heatmap", channels=(4, 4), scale=0.4)
    view = jax.random.normal(jax.random.key(1), (1, 12, 18, 3))
    theta = net.apply(net.init(jax.random.key(0), view), view)
    upright = [[[-0.4, -0.4], [0.4, -0.4]], [[-0.4, 0.4], [0.4, 0.4]]]
    np.testing.assert_allclose(corners(theta, transform), [upright], atol=1e-5)


def view_of_things(*corners: tuple[int, int]) -> np.ndarray:
    view = np.zeros((len(corners), 24, 36, 3), np.float32)
    for image, (row, column) in zip(view, corners, strict=True):
        image[row : row + 2, column : column + 2] = 4.0
    return view


@pytest.mark.parametrize("transform", FAMILIES)
def test_heatmap_follows_the_object(transform):
    net = LocalizationNet(transform=transform, head="heatmap", channels=(4, 4))
    view = view_of_things((8, 10), (12, 20))
    variables = net.init(jax.random.key(0), view)
    variables["params"]["Conv_2"]["kernel"] = jnp.full((1, 1, 4, 1), 3.0)
    first, second = corners(net.apply(variables, view), transform)
    # Moved by 10 of 36 and 4 of 24 pixels, in units of half the photo.
    moved = np.broadcast_to([20 / 36, 8 / 24], (2, 2, 2))
    np.testing.assert_allclose(second - first, moved, atol=0.02)


def brightness(size: tuple[int, int]) -> tuple[LocalizationNet, dict]:
    """A localization net whose heat map says where a view is bright."""
    net = LocalizationNet("attention", "heatmap", channels=(1, 1, 1, 1), scale=0.3)
    variables = net.init(jax.random.key(0), jnp.zeros((1, *size, 1)))
    params = jax.tree.map(jnp.zeros_like, variables["params"])
    for layer in range(4):
        kernel = params[f"Conv_{layer}"]["kernel"]
        middle = kernel.shape[0] // 2
        params[f"Conv_{layer}"]["kernel"] = kernel.at[middle, middle].set(1.0)
    params["Conv_4"]["kernel"] = jnp.ones_like(params["Conv_4"]["kernel"])
    return net, {"params": params}


@pytest.mark.parametrize("size", [(64, 96), (70, 105), (71, 111)])
def test_a_heat_map_finds_things_where_they_are_whatever_its_pools_leave_out(size):
    net, variables = brightness(size)
    for row, column in ((20, 20), (28, 44), (44, 76)):
        view = np.zeros((1, *size, 1), np.float32)
        view[0, row : row + 8, column : column + 8] = 5.0
        theta = np.asarray(net.apply(variables, view))
        found = (theta[0, [1, 0], 2] + 1) / 2 * size
        # One cell has 8 pixels.
        np.testing.assert_allclose(found, (row + 4, column + 4), atol=2.5)


def test_the_second_look_is_at_the_same_place_of_what_the_pools_leave():
    crop = jnp.array([[[0.5, 0.1, 0.2], [-0.1, 0.4, -0.3]]])
    covered = jnp.array([0.9, 0.8])
    corner = jnp.array([1.0, -1.0, 1.0])
    in_photo = (crop @ corner + 1) / 2  # as shares of its sides
    in_features = (_within_covered(crop, covered) @ corner + 1) / 2
    np.testing.assert_allclose(in_features * covered[None], in_photo, rtol=1e-6)


@pytest.mark.parametrize("transform", [each for each in FAMILIES if each != "attention"])
def test_what_turns_a_crop_is_what_is_seen_where_it_lies(transform):
    net = LocalizationNet(transform, "heatmap", channels=(4, 4), units=8, scale=0.3)
    view = view_of_things((6, 10), (12, 20), (12, 20))
    view[2, 15:17, 20:26] = 2.0  # beside the thing
    variables = net.init(jax.random.key(0), view)
    variables["params"]["Conv_2"]["kernel"] = jnp.full((1, 1, 4, 1), 3.0)
    kernel = variables["params"]["Dense_2"]["kernel"]
    drawn = jax.random.normal(jax.random.key(1), kernel.shape)
    variables["params"]["Dense_2"]["kernel"] = 0.2 * drawn
    theta = net.apply(variables, view)
    # The sides of the outline, wherever it lies.
    across, down = (np.diff(corners(theta, transform), axis=axis) for axis in (2, 1))
    sides = np.concatenate([across.reshape(3, -1), down.reshape(3, -1)], axis=1)
    np.testing.assert_allclose(sides[1], sides[0], atol=1e-2)
    assert np.abs(sides[2] - sides[0]).max() > 0.05
    assert np.abs(sides[0] - [0.6, 0, 0.6, 0, 0, 0.6, 0, 0.6]).max() > 0.05


def test_no_step_of_adam_turns_all_crops_alike():
    net = LocalizationNet(head="heatmap", channels=(4, 4), units=8)
    view = jax.random.normal(jax.random.key(1), (4, 16, 16, 1))
    variables = net.init(jax.random.key(0), view)
    kernels = {
        name: each["kernel"] for name, each in variables["params"].items() if "Dense" in name
    }
    # What moves every unit down for positive features, by as much as an update can.
    variables["params"]["Dense_1"]["kernel"] = kernels["Dense_1"] - 0.2
    variables["params"]["Dense_2"]["kernel"] = jnp.ones_like(kernels["Dense_2"])
    assert np.asarray(net.apply(variables, view))[:, 0, 0].std() > 0.1


@pytest.mark.parametrize("transform", [each for each in FAMILIES if each != "attention"])
def test_the_crop_teaches_every_part_of_a_map_behind_a_heat_map(transform):
    images = photos()
    model = make(transform, head="heatmap", scale=0.5)
    variables = model.init(jax.random.key(0), images)
    target = jax.random.uniform(jax.random.key(3), (2, *CROP, 3)) * 255

    def loss(params):
        return jnp.mean((model.apply({"params": params}, images)[0] - target) ** 2)

    gradient = jax.grad(loss)(variables["params"])["localization"]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    assert np.abs(gradient["Conv_2"]["kernel"]).min() > 0
    assert np.abs(gradient["Dense_2"]["bias"]).min() > 0
    assert np.abs(gradient["Dense_2"]["kernel"]).max(axis=0).min() > 0


def test_exposure_and_tone_say_nothing_of_where():
    model = make("affine")
    dark = photos(1) // 2
    both = jnp.concatenate([dark, dark + jnp.array([[[[100, 60, 20]]]], jnp.uint8)])
    variables = model.init(jax.random.key(0), both)
    last = variables["params"]["localization"]["Dense_1"]
    last["kernel"] = jax.random.normal(jax.random.key(1), last["kernel"].shape)
    _, theta = model.apply(variables, both)
    np.testing.assert_allclose(theta[0], theta[1], atol=1e-4)
    assert np.abs(theta[0] - attention_theta(jnp.ones(1), jnp.zeros((1, 2)))[0]).max() > 0.1


def test_a_crop_larger_than_the_photo_is_kept_in_its_middle():
    centre = keep_centre_inside(jnp.array([1.2, 0.4]), jnp.array([[0.3, -0.3], [0.9, 0.5]]))
    np.testing.assert_allclose(centre, [[0, 0], [0.6, 0.5]], atol=1e-6)


@pytest.mark.parametrize("raw", [-50.0, 50.0])
def test_attention_stays_in_bounds_and_inside(raw):
    net = LocalizationNet(
        transform="attention",
        channels=(4,),
        units=4,
        scale=0.5,
        scale_bounds=(0.8, 1.2),
        keep_inside=True,
    )
    view = jnp.ones((1, 8, 12, 3))
    variables = net.init(jax.random.key(0), view)
    variables["params"]["Dense_1"]["bias"] = jnp.array([raw, raw, raw])
    theta = np.asarray(net.apply(variables, view))[0]
    assert theta[0, 0] == pytest.approx(0.5 * (0.8 if raw < 0 else 1.2), abs=1e-4)
    assert np.all(np.abs(theta[:, 2]) + theta[0, 0] <= 1 + 1e-6)


def test_scale_can_be_given_for_each_photo():
    net = LocalizationNet(transform="attention", channels=(4,), units=4)
    view = jnp.ones((2, 8, 12, 3))
    variables = net.init(jax.random.key(0), view)
    theta = net.apply(variables, view, scale=jnp.array([0.25, 0.75]))
    np.testing.assert_allclose(theta[:, 0, 0], [0.25, 0.75], rtol=1e-5)


def test_a_scale_that_nothing_would_read_is_refused():
    net = LocalizationNet(channels=(4,), units=4)
    view = jnp.ones((2, 8, 12, 3))
    variables = net.init(jax.random.key(0), view)
    with pytest.raises(ValueError, match="not by a dense head of affine maps"):
        net.apply(variables, view, scale=jnp.array([0.25, 0.75]))
    with pytest.raises(ValueError, match="where the crop is fixed to 'centre'"):
        SpatialTransformer(fixed="centre").apply({}, photos(), scale=jnp.array([0.25, 0.75]))


def test_given_theta_bypasses_the_localization_net():
    model = make()
    variables = model.init(jax.random.key(0), photos())
    theta = attention_theta(jnp.full(2, 0.5), jnp.full((2, 2), 0.1))
    crops, used = model.apply(variables, photos(), theta=theta)
    np.testing.assert_array_equal(used, theta)
    np.testing.assert_allclose(
        crops, spatial_transform(photos(), theta, CROP, fill_value=127.5), atol=1e-3
    )


@pytest.mark.parametrize("crop_size", [(8, 12), (7, 11), (7, 12)])
def test_centre_is_the_middle_pixel_for_pixel(crop_size):
    model = SpatialTransformer(crop_size=crop_size, fixed="centre")
    variables = model.init(jax.random.key(0), photos())
    assert not variables
    crops, _ = model.apply(variables, photos())
    middle = photos()[:, 8 : 8 + crop_size[0], 12 : 12 + crop_size[1]]
    np.testing.assert_allclose(crops, middle, atol=1e-3)


def test_outside_of_the_photo_is_the_mean_colour():
    model = make().clone(mean_color=(10.0, 20.0, 30.0))
    variables = model.init(jax.random.key(0), photos())
    theta = attention_theta(jnp.ones(2), jnp.full((2, 2), 5.0))
    crops, _ = model.apply(variables, photos(), theta=theta)
    assert np.all(np.asarray(crops) == [10, 20, 30])


def test_localization_is_a_small_part_of_the_arithmetic():
    """Under 1 % of the paper's network, counted by XLA."""

    def flops(module: nn.Module, shape: tuple[int, ...], **keywords) -> float:
        images = jax.ShapeDtypeStruct(shape, jnp.float32)
        variables = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, **keywords), images)
        compiled = jax.jit(lambda v, x: module.apply(v, x, **keywords)).lower(variables, images)
        return compiled.cost_analysis()["flops"]

    from stn_jax import VGGLite

    view = flops(LocalizationNet(), (1, 70, 105, 3))
    whole = flops(VGGLite(num_classes=2), (1, 210, 315, 3), train=False)
    assert view < 0.01 * whole


@pytest.mark.parametrize(
    ("transform", "head", "products"),
    [
        ("affine", "heatmap", 6),
        ("attention", "heatmap", 4),
        ("projective", "heatmap", 6),
        ("tps", "heatmap", 6),
        ("projective", "dense", 1),
    ],
)
def test_positions_are_computed_in_float32_on_every_chip(transform, head, products):
    """Where float32 is multiplied as TF32 or bfloat16 by default, the compiler must be told."""
    net = LocalizationNet(transform=transform, head=head, channels=(4,), dtype=jnp.bfloat16)
    view = jnp.zeros((2, 12, 18, 3))
    variables = net.init(jax.random.key(0), view)
    text = jax.jit(net.apply).lower(variables, view).as_text()
    lines = re.findall(r"(?:dot_general|convolution)\(?.*xf32>, tensor<.*", text)
    assert len(lines) == products
    assert all("HIGHEST" in line and "DEFAULT" not in line for line in lines), lines
