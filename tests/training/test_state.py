"""The optimiser's options, one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny_runs import tiny_config

from stn_jax.config import TrainConfig
from stn_jax.models import make_model
from stn_jax.training.state import init_state, make_optimizer, make_schedule

PARAMS = {
    "classifier": {"Dense_0": {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}},
    "transformer": {"localization": {"Dense_0": {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}}},
}
GRADIENT = jax.tree.map(lambda leaf: 0.5 * leaf, PARAMS)


def update(**options):
    optimizer = make_optimizer(TrainConfig(learning_rate=0.1, **options))
    return optimizer.update(GRADIENT, optimizer.init(PARAMS), PARAMS)[0]


def test_the_papers_optimiser_is_plain_adam():
    adam = optax.adam(1e-5)
    paper = make_optimizer(TrainConfig())
    ours, theirs = paper.init(PARAMS), adam.init(PARAMS)
    for scale in (1.0, 0.1, -2.0):
        gradient = jax.tree.map(lambda leaf, scale=scale: scale * leaf, GRADIENT)
        found, ours = paper.update(gradient, ours, PARAMS)
        expected, theirs = adam.update(gradient, theirs, PARAMS)
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(a, b)


def test_localization_rate_scales_its_updates_alone():
    plain, slowed = update(), update(localization_rate=0.25)
    np.testing.assert_allclose(
        slowed["transformer"]["localization"]["Dense_0"]["kernel"],
        0.25 * plain["transformer"]["localization"]["Dense_0"]["kernel"],
    )
    np.testing.assert_array_equal(
        slowed["classifier"]["Dense_0"]["kernel"], plain["classifier"]["Dense_0"]["kernel"]
    )


def test_a_frozen_localization_net_waits_and_the_rest_learns():
    optimizer = make_optimizer(TrainConfig(learning_rate=0.1, localization_freeze=2))
    state = optimizer.init(PARAMS)
    for step in range(3):
        updates, state = optimizer.update(GRADIENT, state, PARAMS)
        moved = updates["transformer"]["localization"]["Dense_0"]["kernel"]
        assert np.all(moved == 0) == (step < 2)
        assert np.all(updates["classifier"]["Dense_0"]["kernel"] != 0)


def test_weight_decay_acts_on_kernels_alone_and_at_the_learning_rate():
    plain, decayed = (
        update()["classifier"]["Dense_0"],
        update(weight_decay=0.3)["classifier"]["Dense_0"],
    )
    np.testing.assert_allclose(decayed["kernel"], plain["kernel"] - 0.1 * 0.3, rtol=1e-6)
    np.testing.assert_array_equal(decayed["bias"], plain["bias"])


def test_gradients_are_clipped_to_a_norm():
    # Adam forgets the scale of its first gradient, so the moments are looked at.
    optimizer = make_optimizer(TrainConfig(clip_norm=0.01))
    _, state = optimizer.update(GRADIENT, optimizer.init(PARAMS), PARAMS)
    np.testing.assert_allclose(optax.tree.norm(state[1].mu), 0.1 * 0.01, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "rates"),
    [
        ({}, {0: 1.0, 50: 1.0, 10_000: 1.0}),
        ({"warmup_steps": 10}, {0: 0.0, 5: 0.5, 10: 1.0, 90: 1.0}),
        ({"schedule": "cosine", "steps": 100}, {0: 1.0, 50: 0.5, 100: 0.0}),
        (
            {"schedule": "cosine", "steps": 110, "warmup_steps": 10},
            {0: 0.0, 10: 1.0, 60: 0.5, 110: 0.0},
        ),
        ({"schedule": "cosine", "steps": 10, "warmup_steps": 10}, {0: 0.0, 9: 0.9}),
    ],
)
def test_learning_rate_by_step(options, rates):
    schedule = make_schedule(TrainConfig(learning_rate=2.0, **options))
    for step, rate in rates.items():
        np.testing.assert_allclose(schedule(step), 2.0 * rate, atol=1e-6)


def test_first_weights_come_from_the_seed_and_are_float32():
    config = tiny_config()
    model = make_model(config.model, num_classes=2, mean_color=(0.0, 0.0, 0.0))
    optimizer = make_optimizer(config.train)
    first, again, other = (
        jax.jit(
            lambda seed=seed: init_state(
                model, optimizer, photo_size=(24, 36), num_channels=3, seed=seed
            )
        )()
        for seed in (0, 0, 1)
    )
    kernels = [state.params["classifier"]["Dense_0"]["kernel"] for state in (first, again, other)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])
    assert kernels[0].dtype == jnp.float32
