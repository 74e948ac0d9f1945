import numpy as np
import pytest

from stn_jax.evaluation.calibration import (
    TEMPERATURES,
    apply_temperature,
    fit_temperature,
    softmax,
)
from stn_jax.evaluation.metrics import negative_log_likelihood


def overconfident(temperature, n=20_000):
    """Labels drawn from the probabilities, and the probabilities of a model that exaggerates."""
    key = np.random.default_rng(0)
    logits = key.normal(size=(n, 3)) * 1.5
    true = softmax(logits)
    labels = (key.uniform(size=(n, 1)) > true.cumsum(axis=1)).sum(axis=1)
    return labels, softmax(logits * temperature)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_a_known_model_is_found(temperature):
    labels, raw = overconfident(temperature)
    assert fit_temperature(labels, raw) == pytest.approx(temperature, rel=0.04)


def test_the_fit_is_the_least_likelihood_nearby():
    """Of a set so large that Platt's two photos more make no difference."""
    labels, raw = overconfident(2.0)
    best = fit_temperature(labels, raw)

    def loss(temperature):
        return negative_log_likelihood(labels, apply_temperature(raw, temperature))

    assert loss(best) < min(loss(best * 1.03), loss(best / 1.03), loss(1.0))


@pytest.mark.parametrize("n", [10, 200])
def test_being_always_right_is_no_certainty(n):
    """All n right: a photo like them is then wrong about once in n + 2, and not never."""
    labels = np.arange(n) % 2
    raw = softmax(np.array([[3.0, 0.0], [0.0, 3.0]])[labels])
    calibrated = apply_temperature(raw, fit_temperature(labels, raw))
    np.testing.assert_allclose(calibrated.max(axis=1), 1 - 1 / (n + 2), rtol=1e-6)


def test_a_model_that_is_always_wrong_stays_within_bounds():
    raw = softmax(np.array([[0.5, 0.0], [0.0, 0.5]]))
    assert fit_temperature(np.array([1, 0]), raw) == pytest.approx(TEMPERATURES[1], rel=1e-3)


def test_temperature_keeps_the_order_and_one_changes_nothing():
    raw = softmax(np.array([[30.0, 0.0, -4.0], [0.3, 0.1, 0.2]]))
    np.testing.assert_allclose(apply_temperature(raw, 1.0), raw, rtol=1e-12)
    for temperature in (0.5, 2.0):
        changed = apply_temperature(raw, temperature)
        np.testing.assert_array_equal(changed.argmax(axis=1), raw.argmax(axis=1))
        np.testing.assert_allclose(changed.sum(axis=1), 1)
    certain = apply_temperature(np.array([[1.0, 0.0]]), 2.0)
    assert np.isfinite(certain).all()


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="no validation photo"):
        fit_temperature(np.zeros(0, int), np.zeros((0, 2)))
    with pytest.raises(ValueError, match="positive"):
        apply_temperature(np.array([[0.5, 0.5]]), 0.0)


def test_softmax_of_float32_logits_keeps_small_probabilities():
    probabilities = softmax(np.array([[200.0, 0.0]], np.float32))
    assert probabilities.dtype == np.float64
    assert 0 < probabilities[0, 1] < 1e-80
