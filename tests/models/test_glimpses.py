"""Glimpses are drawn where the heat map says, weigh what it says, and teach it where to look."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax import LocalizationNet, SpatialTransformer, STNClassifier, VGGLite
from stn_jax.models.glimpses import draw_glimpses, mix
from stn_jax.models.localization import Look
from stn_jax.sampling import attention_theta

CELLS = (4, 6)


def look(heatmap: np.ndarray, scale: float = 0.25, covered=(1.0, 1.0)) -> Look:
    batch = len(heatmap)
    theta = attention_theta(jnp.full(batch, scale), jnp.zeros((batch, 2)))
    return Look(theta, jnp.log(jnp.asarray(heatmap, jnp.float32)), jnp.asarray(covered))


def peaked(row: int, column: int, height: float = 0.9) -> np.ndarray:
    heatmap = np.full((1, *CELLS), (1 - height) / (CELLS[0] * CELLS[1] - 1))
    heatmap[0, row, column] = height
    return heatmap


def draw(heatmap: np.ndarray, *, count=4000, explore=0.5, keep_inside=False, scale=0.25):
    return draw_glimpses(
        jax.random.key(0),
        look(heatmap, scale),
        count=count,
        explore=explore,
        keep_inside=keep_inside,
    )


def cells_of(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = CELLS
    y, x = (theta[0, :, 1, 2] + 1) / 2 * rows, (theta[0, :, 0, 2] + 1) / 2 * columns
    return np.floor(y).astype(int), np.floor(x).astype(int)


def test_a_share_of_the_glimpses_explores_the_whole_photo():
    glimpses = draw(peaked(1, 4), explore=0.4)
    rows, columns = cells_of(np.asarray(glimpses.theta))
    counts = np.zeros(CELLS)
    np.add.at(counts, (rows, columns), 1 / len(rows))
    expected = 0.6 * peaked(1, 4)[0] + 0.4 / counts.size
    np.testing.assert_allclose(counts, expected, atol=0.02)


def test_glimpses_stay_in_the_share_of_the_photo_that_the_heat_map_covers():
    seen = look(np.full((1, *CELLS), 1 / 24), covered=(0.5, 0.75))
    glimpses = draw_glimpses(jax.random.key(0), seen, count=4000, explore=0.5, keep_inside=False)
    centres = np.asarray(glimpses.theta)[0, :, :, 2]
    np.testing.assert_allclose(centres.min(axis=0), [-1, -1], atol=0.02)
    np.testing.assert_allclose(centres.max(axis=0), [0, 0.5], atol=0.02)


def test_weights_are_the_heat_maps_whatever_is_explored():
    heatmap = np.random.default_rng(0).dirichlet(np.ones(24)).reshape(1, *CELLS)
    for explore in (0.3, 1.0):
        glimpses = draw(heatmap, count=20_000, explore=explore)
        rows, columns = cells_of(np.asarray(glimpses.theta))
        weight = np.exp(np.asarray(glimpses.log_weight[0]))
        assert weight.sum() == pytest.approx(1, abs=1e-4)
        found = np.zeros(CELLS)
        np.add.at(found, (rows, columns), weight)
        np.testing.assert_allclose(found, heatmap[0], atol=0.015)


def test_gradients_are_those_of_the_weights_and_not_of_the_draws():
    seen = look(np.random.default_rng(0).dirichlet(np.ones(24)).reshape(1, *CELLS))

    def drawn(log_heatmap):
        glimpses = draw_glimpses(
            jax.random.key(0),
            seen._replace(log_heatmap=log_heatmap),
            count=5,
            explore=0.3,
            keep_inside=False,
        )
        return glimpses.log_weight[0, 0], glimpses

    gradient, glimpses = jax.grad(drawn, has_aux=True)(seen.log_heatmap)
    expected = np.zeros(CELLS)
    rows, columns = cells_of(np.asarray(glimpses.theta))
    np.add.at(expected, (rows, columns), -np.exp(np.asarray(glimpses.log_weight[0])))
    expected[rows[0], columns[0]] += 1
    np.testing.assert_allclose(gradient[0], expected, atol=1e-5)


def test_glimpses_stay_inside_the_photo():
    theta = np.asarray(draw(peaked(0, 0), keep_inside=True, scale=0.4).theta)
    assert np.all(np.abs(theta[..., 2]) + 0.4 <= 1 + 1e-6)
    assert np.all(theta[..., [0, 1], [0, 1]] == np.float32(0.4))


def test_a_mixture_is_the_weighted_mean_of_probabilities():
    logits = jnp.log(jnp.array([[[0.9, 0.1], [0.2, 0.8]]]))
    mixture = mix(logits, jnp.log(jnp.array([[0.25, 0.75]])))
    np.testing.assert_allclose(np.exp(mixture), [[0.375, 0.625]], rtol=1e-5)


def test_the_heat_map_rises_where_the_class_is_recognised():
    """The place whose crop shows the class gains, every other place loses."""

    def loss(heat_logits):
        log_heatmap = jax.nn.log_softmax(heat_logits, axis=(1, 2))
        theta = attention_theta(jnp.full(1, 0.25), jnp.zeros((1, 2)))
        glimpses = draw_glimpses(
            jax.random.key(1),
            Look(theta, log_heatmap, jnp.ones(2)),
            count=64,
            explore=1.0,
            keep_inside=False,
        )
        columns = jnp.floor((glimpses.theta[..., 0, 2] + 1) / 2 * CELLS[1])
        rows = jnp.floor((glimpses.theta[..., 1, 2] + 1) / 2 * CELLS[0])
        shows = (rows == 2) & (columns == 3)
        logits = jnp.where(shows[..., None], jnp.array([3.0, -3.0])[None, None], 0.0)
        return -mix(logits, glimpses.log_weight)[0, 0]

    gradient = np.asarray(jax.jit(jax.grad(loss))(jnp.zeros((1, *CELLS))))[0]
    assert gradient[2, 3] < 0
    others = np.delete(gradient.ravel(), 2 * CELLS[1] + 3)
    assert others.max() > 0
    assert np.all(others >= 0)


@pytest.fixture(scope="module")
def model_and_variables():
    localization = LocalizationNet(
        transform="attention", head="heatmap", channels=(4, 4), scale=0.3, keep_inside=True
    )
    transformer = SpatialTransformer(localization=localization, crop_size=(8, 12), view_shrink=3)
    classifier = VGGLite(num_classes=3, channels=((4,), (8,)), dense=(), global_pool=True)
    model = STNClassifier(transformer=transformer, classifier=classifier)
    variables = jax.jit(lambda photo: model.init(jax.random.key(0), photo, train=False))(
        jnp.zeros((1, 24, 36, 3), jnp.uint8)
    )
    return model, variables


def glimpse(model, variables, photos, *, count=3, explore=0.5, **options):
    return model.apply(
        variables,
        photos,
        train=True,
        count=count,
        explore=explore,
        rngs={"glimpses": jax.random.key(5)},
        method="glimpse",
        **options,
    )


def test_glimpses_of_photos_that_look_alike_everywhere_agree_with_the_one_crop(model_and_variables):
    model, variables = model_and_variables
    colours = jnp.array([[[[200, 30, 90]]], [[[10, 160, 240]]]], jnp.uint8)
    photos = jnp.broadcast_to(colours, (2, 24, 36, 3))
    logits, theta, _ = jax.jit(lambda photos: model.apply(variables, photos, train=True))(photos)
    log_probabilities, centre = jax.jit(lambda photos: glimpse(model, variables, photos))(photos)
    np.testing.assert_array_equal(theta, centre)
    # At the photo's edge the last pixel blends with what lies beyond.
    np.testing.assert_allclose(log_probabilities, jax.nn.log_softmax(logits), atol=0.02)


def test_no_photos_have_no_glimpses(model_and_variables):
    log_probabilities, theta = glimpse(*model_and_variables, np.zeros((0, 24, 36, 3), np.uint8))
    assert log_probabilities.shape == (0, 3)
    assert theta.shape == (0, 2, 3)


def test_glimpses_are_float32_where_jax_has_float64_as_its_default(model_and_variables):
    photos = np.zeros((2, 24, 36, 3), np.uint8)
    with jax.enable_x64(True):
        drawn = jax.eval_shape(
            lambda: glimpse(*model_and_variables, photos, scale=jnp.ones(2, jnp.float64))
        )
    assert [each.dtype for each in drawn] == [np.dtype("float32")] * 2


def test_glimpses_teach_both_networks(model_and_variables):
    model, variables = model_and_variables
    photos = jax.random.randint(jax.random.key(1), (2, 24, 36, 3), 0, 256).astype(jnp.uint8)

    def loss(params):
        return glimpse(model, {"params": params}, photos)[0][:, 0].sum()

    gradient = jax.jit(jax.grad(loss))(variables["params"])
    heat_head = gradient["transformer"]["localization"]["Conv_2"]["kernel"]
    assert np.abs(heat_head).max() > 0
    assert np.abs(gradient["classifier"]["Conv_0"]["kernel"]).max() > 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"photos": np.zeros((24, 36, 3), np.uint8)}, ValueError, "images must have shape"),
        ({"photos": np.zeros((2, 24, 36, 3), bool)}, TypeError, "images must hold integers or"),
        ({"count": 0}, ValueError, "count must be a whole number from 1, got 0"),
        ({"count": 2.0}, ValueError, "count must be a whole number from 1, got 2.0"),
        ({"explore": 0.0}, ValueError, "explore must be above 0 and at most 1, got 0.0"),
        ({"scale": jnp.ones(3)}, ValueError, "scale of shape .3,. and view .* differ in batch"),
        ({"scale": jnp.ones((2, 1))}, ValueError, r"scale must have shape \[batch\], got \(2, 1\)"),
        ({"scale": jnp.ones(2, int)}, TypeError, "scale must hold floating-point numbers"),
    ],
)
def test_glimpses_refuse_what_cannot_be_meant(model_and_variables, arguments, error, message):
    photos = {"photos": np.zeros((2, 24, 36, 3), np.uint8)}
    with pytest.raises(error, match=message):
        glimpse(*model_and_variables, **photos | arguments)


@pytest.mark.parametrize(
    "options", [{"head": "dense", "transform": "attention"}, {"head": "heatmap"}]
)
def test_glimpses_need_a_heat_map_of_upright_crops(options):
    model = STNClassifier(SpatialTransformer(LocalizationNet(**options)), VGGLite(num_classes=2))
    with pytest.raises(ValueError, match=r"need .* head='heatmap' and transform='attention'"):
        glimpse(model, {}, np.zeros((2, 24, 36, 3), np.uint8))
