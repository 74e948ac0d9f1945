"""The compiled step: what it computes, and that ways to save memory change nothing."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny_runs import tiny_config

from stn_jax.config import AugmentConfig, ZoomScheduleConfig
from stn_jax.models import VGGLite, make_model
from stn_jax.training.state import TrainState, init_state, make_optimizer
from stn_jax.training.step import (
    _after,
    describe_crops,
    draw_scales,
    equal_weights,
    make_eval_step,
    make_train_step,
    spread,
)

SIZE = (24, 36)
pytestmark = pytest.mark.usefixtures("quick_compilation")


def make_batch(count: int, seed: int = 0) -> dict[str, jax.Array]:
    random = np.random.default_rng(seed)
    return {
        "photo": jnp.asarray(random.integers(0, 256, (count, *SIZE, 3)), jnp.uint8),
        "label": jnp.asarray(random.integers(0, 2, count), jnp.int32),
    }


def plain(**train):
    """Without dropout and augmentation, which draw other numbers for other parts."""
    config = tiny_config(model={"dropout": 0.0}, **train)
    object.__setattr__(config.data, "augment", AugmentConfig())
    return config


def take_step(config, batch) -> tuple[TrainState, dict]:
    model = make_model(
        config.model,
        num_classes=2,
        mean_color=(120.0, 100.0, 90.0),
        precision=config.train.precision,
        remat=config.train.remat,
    )
    # Plain descent: Adam's division would blow rounding errors of tiny gradients up.
    optimizer = optax.sgd(1.0)
    return make_train_step(model, optimizer, config)(first_state(model, optimizer), batch)


def first_state(model, optimizer) -> TrainState:
    return init_state(model, optimizer, photo_size=SIZE, num_channels=3, seed=0)


def assert_close(one: TrainState, other: TrainState, tolerance: float) -> None:
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulated_batch_equals_the_big_one(parts):
    batch = make_batch(8)
    whole, whole_metrics = take_step(plain(), batch)
    accumulated, metrics = take_step(plain(accumulate=parts), batch)
    assert_close(accumulated, whole, 1e-6)
    for name, value in whole_metrics.items():
        np.testing.assert_allclose(metrics[name], value, rtol=2e-6, err_msg=name)


def test_recomputing_activations_changes_nothing():
    batch = make_batch(4)
    assert_close(take_step(plain(remat=True), batch)[0], take_step(plain(), batch)[0], 1e-6)


def test_recomputing_activations_keeps_fewer_of_them():
    def kept(remat: bool) -> int:
        model = VGGLite(num_classes=2, dense=(), global_pool=True, remat=remat)
        images = jax.ShapeDtypeStruct((15, 210, 315, 3), jnp.float32)

        def forward(images):
            variables = model.init(jax.random.key(0), images, train=False)
            return jax.vjp(lambda x: model.apply(variables, x, train=False), images)[1]

        return sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(forward, images)))

    assert kept(remat=True) < kept(remat=False) / 4


def test_bfloat16_keeps_state_loss_and_theta_in_float32():
    state, metrics = take_step(plain(precision="bfloat16"), make_batch(4))
    floats = [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.floating)]
    assert {leaf.dtype for leaf in floats} == {jnp.dtype("float32")}
    assert {value.dtype for value in metrics.values()} == {jnp.dtype("float32")}
    reference = take_step(plain(), make_batch(4))[1]
    assert metrics["loss"] != reference["loss"]
    np.testing.assert_allclose(metrics["loss"], reference["loss"], rtol=2e-2)


def test_state_is_donated():
    config = plain()
    model = make_model(config.model, num_classes=2, mean_color=(0.0, 0.0, 0.0))
    optimizer = make_optimizer(config.train)
    state = first_state(model, optimizer)
    compiled = make_train_step(model, optimizer, config).lower(state, make_batch(2)).compile()
    state_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    assert compiled.memory_analysis().alias_size_in_bytes >= 0.95 * state_bytes


def compile_with_wide_layers():
    """The step of a network with 2048x2048 weights, as it is compiled for training."""
    jax.config.update("jax_disable_most_optimizations", False)
    config = tiny_config(model={"dense": (2048, 2048)})
    model = make_model(config.model, num_classes=2, mean_color=(0.0, 0.0, 0.0))
    optimizer = make_optimizer(config.train)
    state = jax.eval_shape(lambda: first_state(model, optimizer))
    compiled = make_train_step(model, optimizer, config).lower(state, make_batch(2)).compile()
    return compiled, sum(4 * leaf.size for leaf in jax.tree.leaves(state.params))


on_a_cpu = pytest.mark.skipif(jax.default_backend() != "cpu", reason="how XLA compiles for a CPU")


@on_a_cpu
def test_the_gradients_norm_takes_no_memory():
    compiled, weights = compile_with_wide_layers()
    # The gradient is between the network and Adam; its squares would be as large.
    assert compiled.memory_analysis().temp_size_in_bytes < 1.5 * weights


@on_a_cpu
def test_old_weights_are_not_copied():
    compiled, _ = compile_with_wide_layers()
    assert re.search(r"= f32\[2048,2048\]\S* parameter\(", compiled.as_text())
    assert not re.search(r"= f32\[2048,2048\]\S* copy\(", compiled.as_text())


@pytest.mark.parametrize("norm", [0.0, 3.0, np.inf, np.nan])
def test_waiting_for_a_norm_changes_nothing(norm):
    tree = {"a": jnp.asarray([1.5, -2.0, 0.0]), "b": jnp.asarray([[3.0]], jnp.bfloat16)}
    waited = _after(jnp.asarray(norm), tree)
    for key, leaf in tree.items():
        assert waited[key].dtype == leaf.dtype
        np.testing.assert_array_equal(waited[key], leaf)


def test_a_fixed_order_of_adding_is_asked_of_the_compiler(monkeypatch):
    asked = []
    original = jax.jit

    def jit(function, **options):
        asked.append(options.get("compiler_options"))
        return original(function, **options)

    monkeypatch.setattr(jax, "jit", jit)
    first, again = (take_step(plain(deterministic=True), make_batch(4))[0] for _ in range(2))
    assert_close(first, again, 0)
    take_step(plain(), make_batch(4))
    assert {"xla_gpu_deterministic_ops": True} in asked
    assert asked[-1] is None


def test_randomness_comes_from_seed_and_step():
    batch = make_batch(4)
    first, again = (take_step(tiny_config(), batch)[1]["loss"] for _ in range(2))
    assert first == again
    assert take_step(tiny_config(seed=1), batch)[1]["loss"] != first


def test_evaluation_counts_each_photo_once_whatever_fills_the_batch():
    config = plain()
    model = make_model(config.model, num_classes=2, mean_color=(120.0, 100.0, 90.0))
    variables = first_state(model, optax.sgd(1.0)).variables
    evaluate = make_eval_step(model)
    whole = evaluate(variables, {**make_batch(6), "mask": jnp.ones(6, bool)})
    filled = {name: jnp.concatenate([v, v[:2]]) for name, v in make_batch(6).items()}
    masked = evaluate(variables, {**filled, "mask": jnp.arange(8) < 6})
    assert masked["weight"] == whole["weight"] == 6
    for name in whole:
        np.testing.assert_allclose(masked[name], whole[name], rtol=1e-5, err_msg=name)


def test_rare_classes_count_as_much_as_common_ones():
    config = plain()
    model = make_model(config.model, num_classes=2, mean_color=(120.0, 100.0, 90.0))
    variables = first_state(model, optax.sgd(1.0)).variables
    labels = np.array([0, 0, 0, 0, 0, 1], np.int32)
    weights = equal_weights(labels, 2)
    np.testing.assert_allclose(weights, [6 / 10, 6 / 2])
    assert np.isfinite(equal_weights(labels, 3)).all()
    batch = {**make_batch(6), "label": jnp.asarray(labels), "mask": jnp.ones(6, bool)}
    plainly = make_eval_step(model)
    of_class = [
        plainly(variables, {**batch, "mask": jnp.asarray(labels == label)}) for label in (0, 1)
    ]
    found = make_eval_step(model, class_weights=weights)(variables, batch)
    assert found["weight"] == pytest.approx(6)
    means = [sums["loss"] / sums["weight"] for sums in of_class]
    np.testing.assert_allclose(found["loss"] / found["weight"], np.mean(means), rtol=1e-5)


def theta(*rows: list[float]) -> jax.Array:
    return jnp.asarray([rows], jnp.float32)


@pytest.mark.parametrize(
    ("matrix", "scale", "outside", "condition"),
    [
        (theta([1, 0, 0], [0, 1, 0]), 1.0, 0.0, 1.0),
        (theta([0.5, 0, 0], [0, 0.5, 0]), 0.5, 0.0, 1.0),
        (theta([0.8, 0, 0], [0, 0.2, 0]), 0.4, 0.0, 4.0),
        (theta([0, -0.3, 0], [0.3, 0, 0]), 0.3, 0.0, 1.0),
        (theta([8e-5, 0, 0], [0, 2e-5, 0]), 4e-5, 0.0, 4.0),
        (theta([8e-15, 0, 0], [0, 2e-15, 0]), 4e-15, 0.0, 4.0),
        (theta([0.1, 0, 3], [0, 0.1, 0]), 0.1, 1.0, 1.0),
        (theta([1, 0, 1], [0, 1, 0]), 1.0, 4 / 9, 1.0),  # the 5th of 9 columns is on the edge
    ],
)
def test_crops_are_described(matrix, scale, outside, condition):
    found = describe_crops(matrix, family="affine")
    np.testing.assert_allclose(found["scale"], [scale], rtol=1e-5)
    np.testing.assert_allclose(found["outside"], [outside], atol=1e-6)
    np.testing.assert_allclose(found["condition"], [condition], rtol=1e-3)


def test_degenerate_crops_have_finite_descriptions():
    flat = describe_crops(theta([0.5, 0.5, 0], [0.5, 0.5, 0]), family="affine")
    nothing = describe_crops(theta([0, 0, 0], [0, 0, 0]), family="affine")
    behind = describe_crops(theta([1, 0, 0], [0, 1, 0], [0, 0, -1]), family="projective")
    for found in (flat, nothing, behind):
        assert all(np.isfinite(value).all() for value in found.values())
    assert flat["condition"][0] > 1000
    assert behind["outside"][0] == 1


def test_spread_is_the_deviation_in_photo_sides():
    left, right = theta([0.2, 0, -0.5], [0, 0.2, 0]), theta([0.2, 0, 0.5], [0, 0.2, 0])
    both = jnp.concatenate([left, right])
    # x deviates by 0.5 of [-1, 1], a quarter of a side; y does not.
    np.testing.assert_allclose(spread(both, family="affine"), 0.125, rtol=1e-5)
    assert spread(jnp.concatenate([left, left]), family="affine") == 0


def test_scales_narrow_over_the_schedule():
    schedule = ZoomScheduleConfig(steps=100, high_from=0.9, high_to=0.45, low=0.36)
    for step, high in ((0, 0.9), (50, 0.675), (100, 0.45), (1000, 0.45)):
        scales = draw_scales(jax.random.key(step), jnp.int32(step), 4000, schedule, released=0.5)
        assert 0.36 <= scales.min() < 0.365
        assert 0.99 * high < scales.max() <= high
    off = draw_scales(jax.random.key(0), jnp.int32(0), 4, ZoomScheduleConfig(), released=0.5)
    assert off is None


def test_scales_without_jitter_are_the_upper_end_until_they_are_released():
    schedule = ZoomScheduleConfig(
        steps=100, high_from=0.9, high_to=0.5, low=0.4, jitter=False, release=120
    )
    for step, scale in ((0, 0.9), (50, 0.7), (119, 0.5), (120, 0.3)):
        scales = draw_scales(jax.random.key(0), jnp.int32(step), 3, schedule, released=0.3)
        np.testing.assert_allclose(scales, [scale] * 3, rtol=1e-5)


def test_a_step_with_glimpses_moves_the_heat_map_and_is_determined_by_its_number():
    config = tiny_config(
        model={
            "dropout": 0.0,
            "transform": "attention",
            "head": "heatmap",
            "scale": 0.4,
            "keep_inside": True,
        },
        glimpses=4,
        deterministic=True,
    )
    batch = make_batch(8)
    (state, metrics), (again, _) = take_step(config, batch), take_step(config, batch)
    assert_close(state, again, 0)
    assert np.isfinite(metrics["loss"])
    assert metrics["scale"] == pytest.approx(0.4, abs=1e-3)
    heat_head = state.params["transformer"]["localization"]["Conv_1"]["kernel"]
    assert heat_head.shape[-1] == 1
    assert np.abs(heat_head).max() > 0  # it was zero
