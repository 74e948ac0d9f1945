import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from stn_jax.evaluation import selective
from stn_jax.evaluation.selective import (
    augrc,
    aurc,
    candidate_counts,
    choose_threshold,
    risk_coverage,
)

REPEATS = 500
ALLOWED = stats.binom.isf(0.001, REPEATS, 0.05)
"""Broken promises that chance alone exceeds once in a thousand, at 5 % each."""


def draw(key, n, kind):
    """Confidences of n photos, which are right, and the true error above a threshold."""
    if kind == "calibrated":
        confidence = 1 - key.uniform(size=n) ** 3 / 2
        return confidence, key.uniform(size=n) < confidence, lambda t: (1 - t) / 4
    confidence = key.uniform(0.5, 1, size=n)
    if kind == "just beyond the target":
        return confidence, key.uniform(size=n) < 0.899, lambda t: 0.101
    # Sure and often wrong at the top: error is not monotone in the threshold.
    error = np.where(confidence > 0.9, 0.12, np.where(confidence > 0.7, 0.02, 0.4))

    def risk(t):
        edges = np.linspace(t, 1, 2001)
        middle = (edges[1:] + edges[:-1]) / 2
        return np.where(middle > 0.9, 0.12, np.where(middle > 0.7, 0.02, 0.4)).mean()

    return confidence, key.uniform(size=n) >= error, risk


@pytest.mark.parametrize("kind", ["calibrated", "just beyond the target", "overconfident"])
def test_the_promise_is_kept(kind):
    key = np.random.default_rng(11)
    broken = promised = 0
    for _ in range(REPEATS):
        confidence, correct, risk = draw(key, 300, kind)
        selection = choose_threshold(confidence, correct, target_error=0.1)
        if selection.threshold is not None:
            promised += 1
            broken += risk(max(0.5, selection.threshold)) > 0.1
    assert broken <= ALLOWED
    if kind == "calibrated":
        assert promised > REPEATS / 2  # or the test would prove nothing


def test_without_the_correction_the_promise_would_break(monkeypatch):
    # The test above can fail: many looks at full level break it.
    monkeypatch.setattr(selective, "candidate_counts", lambda n, **_: list(range(30, n + 1, 5)))
    upper = selective.binomial_upper
    monkeypatch.setattr(selective, "binomial_upper", lambda e, n, risk: upper(e, n, risk=0.05))
    key = np.random.default_rng(11)
    broken = 0
    for _ in range(REPEATS):
        confidence, correct, _ = draw(key, 300, "just beyond the target")
        broken += choose_threshold(confidence, correct).threshold is not None
    assert broken > ALLOWED


def test_most_photos_that_keep_the_promise_are_accepted():
    confidence = np.linspace(0.99, 0.5, 400)
    correct = np.arange(400) < 200
    selection = choose_threshold(confidence, correct)
    accepted = confidence >= selection.threshold
    assert accepted.sum() == selection.accepted == 200
    assert selection.errors == 0
    assert selection.error_bound <= 0.1
    # One candidate more, 220, has 20 errors and cannot pass.
    assert stats.binom.cdf(20, 220, 0.1) > 0.05 / selection.candidates


def test_a_perfect_model_answers_always():
    selection = choose_threshold(np.full(100, 0.9), np.ones(100, bool))
    assert selection.threshold == 0.0
    assert selection.accepted == 100


def test_ties_are_accepted_together_or_not_at_all():
    confidence = np.repeat([0.99, 0.8, 0.6], [70, 80, 50])
    correct = np.concatenate([np.ones(150, bool), np.zeros(50, bool)])
    selection = choose_threshold(confidence, correct)
    assert (confidence >= selection.threshold).sum() == selection.accepted == 150
    everything_tied = choose_threshold(np.full(200, 0.7), np.arange(200) < 150)
    assert everything_tied.threshold is None


def test_where_nothing_can_be_promised_it_says_what_is_missing():
    few = choose_threshold(np.linspace(0.6, 0.9, 20), np.ones(20, bool))
    assert few.threshold is few.error_bound is None
    assert "too few" in few.reason
    more = np.linspace(0.6, 0.9, 20 + few.photos_needed)
    assert choose_threshold(more, np.ones(len(more), bool)).threshold is not None
    assert few.photos_needed == 9  # 0.9 to the 29th is the first power below 0.05
    hopeless = choose_threshold(np.linspace(0.5, 1, 500), np.arange(500) % 2 == 0)
    assert hopeless.threshold is hopeless.photos_needed is None
    assert "would not help" in hopeless.reason
    nothing = choose_threshold(np.zeros(0), np.zeros(0, bool))
    assert nothing.threshold is None


def test_photos_needed_with_an_error_worked_by_hand():
    sure_and_wrong = choose_threshold(np.linspace(0.9, 0.6, 40), np.arange(40) > 0)
    assert sure_and_wrong.threshold is None
    # Of all 40, one and a half of 41 are taken to be wrong, looked at with twenty thresholds.
    needed = stats.norm.isf(0.05 / 20) ** 2 * 0.1 * 0.9 / (0.1 - 1.5 / 41) ** 2
    assert sure_and_wrong.photos_needed == np.ceil(needed) - 40


@pytest.mark.parametrize(
    ("count", "target"), [(0, 0.1), (1, 0.1), (4, 0.1), (49, 0.01), (50, 0.01)]
)
def test_few_photos_without_an_error_are_only_too_few(count, target):
    few = choose_threshold(np.linspace(0.6, 0.9, count), np.ones(count, bool), target_error=target)
    assert few.threshold is None
    assert "too few" in few.reason
    assert few.photos_needed < 10 / target
    total = count + few.photos_needed
    enough = choose_threshold(
        np.linspace(0.6, 0.9, total), np.ones(total, bool), target_error=target
    )
    assert enough.threshold is not None


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        choose_threshold(np.array([0.5, np.nan]), np.array([True, True]))
    for options in (
        {"target_error": 0.0},
        {"target_error": 1.0},
        {"certainty": 0.0},
        {"certainty": 1.0},
    ):
        with pytest.raises(
            ValueError, match=r"target_error .* and certainty .* must be in \(0, 1\)"
        ):
            choose_threshold(np.array([0.5]), np.array([True]), **options)


def test_candidates_are_counts_that_could_pass():
    counts = candidate_counts(300, target_error=0.1, certainty=0.95)
    assert counts[-1] == 300
    assert counts == sorted(set(counts))
    assert 0.9 ** counts[0] <= 0.05 / len(counts) < 0.9 ** (counts[0] - 15)
    twentieths = candidate_counts(2000, target_error=0.1, certainty=0.95)
    assert twentieths == list(range(100, 2001, 100))
    assert candidate_counts(29, target_error=0.1, certainty=0.95) == [29]
    assert candidate_counts(28, target_error=0.1, certainty=0.95) == []


def test_coverage_falls_as_the_threshold_rises():
    key = np.random.default_rng(0)
    confidence = np.round(key.uniform(0.5, 1, size=200), 2)
    correct = key.uniform(size=200) < confidence
    coverage, risk = risk_coverage(confidence, correct)
    assert (np.diff(coverage) > 0).all()
    assert coverage[-1] == 1.0
    assert risk[-1] == pytest.approx(1 - correct.mean())
    thresholds = np.unique(confidence)[::-1]
    expected = [(confidence >= t).mean() for t in thresholds]
    np.testing.assert_allclose(coverage, expected)
    expected = [1 - correct[confidence >= t].mean() for t in thresholds]
    np.testing.assert_allclose(risk, expected)


def test_areas_worked_by_hand():
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    correct = np.array([True, False, True, False])
    assert aurc(confidence, correct) == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)
    # Errors in front 0 0 1 1 2, as shares of 4 photos, by trapezoids.
    assert augrc(confidence, correct) == pytest.approx((0 + 0.5 + 1 + 1.5) / 4 / 4)
    tied = np.full(4, 0.5)
    assert aurc(tied, correct) == pytest.approx(0.5)
    assert aurc(np.zeros(0), np.zeros(0, bool)) is augrc(np.zeros(0), np.zeros(0, bool)) is None


def test_augrc_is_its_closed_form():
    # Traub et al. 2024: (1 - AUROC of confidence for correctness) acc (1 - acc) + (1 - acc)^2 / 2.
    key = np.random.default_rng(5)
    confidence = np.round(key.uniform(0.5, 1, size=300), 2)
    correct = key.uniform(size=300) < confidence
    accuracy = correct.mean()
    ranking = roc_auc_score(correct, confidence)
    expected = (1 - ranking) * accuracy * (1 - accuracy) + (1 - accuracy) ** 2 / 2
    assert augrc(confidence, correct) == pytest.approx(expected, abs=1e-12)
