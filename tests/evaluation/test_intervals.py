import numpy as np
import pytest
from scipy import stats

from stn_jax.evaluation.intervals import (
    binomial_upper,
    bootstrap,
    group_members,
    mcnemar,
    rate,
    wilson,
)
from stn_jax.evaluation.metrics import Ranking


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(503, 615, 78.51, 84.76), (423, 575, 69.76, 77.13)],
)
def test_exact_limits_are_the_published_ones(right, n, low, high):
    assert round(100 * (1 - binomial_upper(n - right, n, risk=0.025)), 2) == low
    assert round(100 * binomial_upper(right, n, risk=0.025), 2) == high


def test_wilson_gives_published_values():
    # Newcombe 1998, table I, method 3: 81 of 263 and 15 of 148.
    assert [round(x, 4) for x in (wilson(81, 263).low, wilson(81, 263).high)] == [0.2553, 0.3662]
    assert [round(x, 4) for x in (wilson(15, 148).low, wilson(15, 148).high)] == [0.0624, 0.1605]
    # The report's own example: 151 of 200.
    assert round(100 * wilson(151, 200).low, 1) == 69.1
    assert round(100 * wilson(151, 200).high, 1) == 80.9


@pytest.mark.parametrize("right", [0, 1, 7, 19, 20])
def test_wilson_agrees_with_scipy(right):
    expected = stats.binomtest(right, 20).proportion_ci(0.9, method="wilson")
    found = wilson(right, 20, confidence=0.9)
    np.testing.assert_allclose([found.low, found.high], expected, atol=1e-12)
    assert found.value == right / 20


def test_no_photo_is_undefined_with_a_reason_and_nonsense_refused():
    nothing = wilson(0, 0)
    assert nothing.value is nothing.low is nothing.high is None
    assert "no photo" in nothing.to_json()["reason"]
    assert "reason" not in wilson(1, 2).to_json()
    for successes in (3, -1):
        with pytest.raises(ValueError, match=f"successes {successes} must be between 0 and trials"):
            wilson(successes, 2)
    for confidence in (0.0, 1.0):
        with pytest.raises(ValueError, match=f"confidence {confidence} must be between 0 and 1"):
            wilson(1, 2, confidence=confidence)


def test_binomial_upper_is_where_the_tail_is_the_risk():
    bound = binomial_upper(3, 50, risk=0.05)
    assert stats.binom.cdf(3, 50, bound) == pytest.approx(0.05, abs=1e-12)
    assert binomial_upper(5, 5, risk=0.05) == binomial_upper(0, 0, risk=0.05) == 1.0


def test_groups_keep_their_order_and_unknown_ones_stand_alone():
    groups = np.array(["b", "", "a", "b", ""], object)
    assert [list(m) for m in group_members(groups)] == [[0, 3], [1], [2], [4]]


def test_bootstrap_draws_patients_not_photos():
    values = np.repeat(np.random.default_rng(0).normal(size=30), 10)
    patients = np.repeat(np.arange(30), 10).astype(str).astype(object)

    def mean(drawn):
        return float(np.average(values, weights=drawn))

    by_patient = bootstrap(mean, patients)
    by_photo = bootstrap(mean, np.full(300, "", object))
    widths = [i.high - i.low for i in (by_patient, by_photo)]
    assert widths[0] / widths[1] == pytest.approx(np.sqrt(10), rel=0.15)
    assert by_patient.value == by_photo.value == pytest.approx(values.mean())
    assert bootstrap(mean, patients) == by_patient


def test_bootstrap_draws_as_many_groups_as_there_are_and_each_whole():
    patients = np.array(["a", "b", "a", "", "c", "c"], object)
    draws = []
    bootstrap(lambda drawn: draws.append(drawn) or 1.0, patients, repeats=50)
    assert draws[0].tolist() == [1] * 6
    for drawn in draws[1:]:
        assert drawn[0] == drawn[2]
        assert drawn[4] == drawn[5]
        assert drawn[[0, 1, 3, 4]].sum() == 4
    assert len({drawn.tobytes() for drawn in draws}) > 10


def test_bootstrap_says_why_there_is_no_interval():
    def one_class(drawn):
        return 1.0 if drawn[0] else None

    few = bootstrap(one_class, np.array(["", ""], object))
    assert few.value == 1.0
    assert few.low is None
    assert "too few" in few.reason
    lone = bootstrap(lambda drawn: 1.0, np.array(["a", "a"], object))
    assert "one group" in lone.reason
    assert bootstrap(lambda drawn: None, np.array(["", ""], object)).value is None


@pytest.mark.parametrize(("undefined", "has_range"), [(5, True), (6, False)])
def test_bootstrap_bears_a_statistic_that_is_undefined_in_one_draw_of_twenty(undefined, has_range):
    values = iter([0.5, *[None] * undefined, *np.linspace(0, 1, 100 - undefined)])
    interval = bootstrap(lambda _: next(values), np.full(9, "", object), repeats=100)
    assert interval.value == 0.5
    assert (interval.low is not None) == has_range


def test_a_perfect_order_of_few_photos_has_no_range():
    positive, score = np.arange(16) < 8, np.linspace(1, 0, 16)
    interval = bootstrap(Ranking(positive, score).auroc, np.full(16, "", object))
    assert interval.value == 1
    assert interval.low is interval.high is None
    assert "too few photos" in interval.reason


def test_a_rate_of_independent_photos_is_wilsons():
    happened = np.arange(50) < 31
    assert rate(happened, np.full(50, "", object)) == wilson(31, 50)
    assert rate(happened, np.arange(50).astype(str)) == wilson(31, 50)
    assert rate(happened[:0], np.zeros(0, object)) == wilson(0, 0)


def test_copies_make_a_rate_no_surer():
    once = np.arange(40) < 31
    copied = rate(np.repeat(once, 5), np.repeat(np.arange(40).astype(str), 5))
    alone = wilson(31, 40)
    assert copied.value == alone.value
    # As wide, and a little wider because 40 patients tell the variance between them so well.
    assert 1 < (copied.high - copied.low) / (alone.high - alone.low) < 1.06
    right = rate(np.ones(200, bool), np.repeat(np.arange(40).astype(str), 5))
    assert (right.low, right.high) == (wilson(40, 40).low, 1)
    assert (right.count, right.of) == (200, 200)
    wrong = rate(np.zeros(200, bool), np.repeat(np.arange(40).astype(str), 5))
    assert (wrong.low, wrong.high) == (0, wilson(0, 40).high)
    one = rate(np.array([True, False]), np.array(["a", "a"], object))
    assert one.value == 0.5
    assert one.low < 0.1 < 0.9 < one.high


def photos_worth(found) -> list[float]:
    """Independent photos that give an interval's ends, by the equation that Wilson solves."""
    ends = np.array([found.low, found.high])
    return stats.norm.isf(0.025) ** 2 * ends * (1 - ends) / (found.value - ends) ** 2


def test_photos_are_worth_as_many_as_the_design_effect_leaves():
    groups = np.repeat(["a", "b", "c", "d"], 2)
    few = (stats.norm.isf(0.025) / stats.t.isf(0.025, 3)) ** 2
    # 5 of 8; by patient 3/4, -1/4, -5/4 and 3/4 more than 5/8 of their photos: 4/3 of the sum of
    # squares, 11/4, over 8 squared, against 15/64 over 8.
    alike = rate(np.array([1, 1, 1, 0, 0, 0, 1, 1], bool), groups)
    np.testing.assert_allclose(photos_worth(alike), few * 8 / (88 / 45))
    # Photos of a patient that differ more than others do are worth no more than those.
    unlike = rate(np.tile([True, False], 4), groups)
    np.testing.assert_allclose(photos_worth(unlike), few * 8)


def test_a_rate_covers_the_truth_where_photos_of_a_patient_are_alike():
    key = np.random.default_rng(0)
    groups = np.repeat(np.arange(40).astype(str), 10)
    covered = naive = 0
    for _ in range(400):
        easy = key.beta(1.2, 0.3, size=40)  # mean 0.8; correlation within a patient 0.4
        happened = key.uniform(size=400) < np.repeat(easy, 10)
        interval, plain = rate(happened, groups), wilson(int(happened.sum()), 400)
        covered += interval.low < 0.8 < interval.high
        naive += plain.low < 0.8 < plain.high
    assert covered / 400 > 0.92
    assert naive / 400 < 0.75


def test_few_patients_make_a_rate_less_sure():
    key = np.random.default_rng(0)
    groups = np.repeat(np.arange(5).astype(str), 20)
    covered = 0
    for _ in range(1000):
        easy = key.beta(1.9, 0.47, size=5)  # mean 0.8; correlation within a patient 0.3
        happened = key.uniform(size=100) < np.repeat(easy, 20)
        interval = rate(happened, groups)
        covered += interval.low < 1.9 / 2.37 < interval.high
    assert covered / 1000 > 0.915  # without the factor for few groups: 0.88


@pytest.mark.parametrize(("ours", "theirs"), [(1, 5), (4, 4), (0, 3), (30, 12), (1, 0)])
def test_mcnemar_is_the_sign_test_on_disagreements(ours, theirs):
    first = np.array([True] * ours + [False] * theirs + [True, False] * 20)
    second = np.concatenate([~first[: ours + theirs], first[ours + theirs :]])
    expected = stats.binomtest(ours, ours + theirs, 0.5).pvalue
    alone = np.full(len(first), "", object)
    assert mcnemar(first, second, alone) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(first, first, alone) is None


def test_mcnemar_exchanges_whole_patients():
    groups = np.array(["a"] * 4 + ["b"] * 2 + ["c"] + ["d"] * 2, object)
    first = np.array([1, 1, 1, 1, 1, 1, 0, 1, 0], bool)
    second = np.array([0, 0, 0, 1, 0, 0, 1, 0, 1], bool)
    # They lead by 3, 2, -1 and 0: of the eight sums of +-3, +-2, +-1, four are at least 4 away.
    assert mcnemar(first, second, groups) == 4 / 8
    even = np.array(["a", "a"], object)
    assert mcnemar(np.array([True, False]), np.array([False, True]), even) == 1.0


def test_mcnemar_seldom_finds_a_difference_where_there_is_none():
    key = np.random.default_rng(0)
    groups = np.repeat(np.arange(30).astype(str), 8)
    found = 0
    for _ in range(300):
        # Of each patient, one of the two, either alike, has all photos right.
        first = np.repeat(key.uniform(size=30) < 0.5, 8)
        p = mcnemar(first, ~first, groups)
        found += p <= 0.05
    assert found / 300 < 0.07  # photo by photo: more than half
