import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn import metrics as oracle

from stn_jax.evaluation import metrics

EXACT = {"rtol": 0, "atol": 1e-12}


@pytest.fixture(params=["two classes", "ties", "four classes"])
def photos(request):
    """Labels and probabilities of 300 photos; with ties, only a few distinct values."""
    key = np.random.default_rng(7)
    classes = 4 if request.param == "four classes" else 2
    labels = key.integers(classes, size=300)
    logits = key.normal(size=(300, classes)) + 1.5 * np.eye(classes)[labels]
    if request.param == "ties":
        logits = np.round(logits)
    probabilities = np.exp(logits)
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True)


def test_metrics_agree_with_scikit_learn(photos):
    labels, probabilities = photos
    predicted = probabilities.argmax(axis=1)
    classes = probabilities.shape[1]
    confusion = metrics.confusion_matrix(labels, predicted, classes)
    np.testing.assert_array_equal(confusion, oracle.confusion_matrix(labels, predicted))
    pairs = [
        (metrics.balanced_accuracy(confusion), oracle.balanced_accuracy_score(labels, predicted)),
        (
            metrics.negative_log_likelihood(labels, probabilities),
            oracle.log_loss(labels, probabilities),
        ),
        (
            metrics.brier(labels, probabilities),
            oracle.brier_score_loss(
                labels, probabilities, scale_by_half=False, labels=list(range(classes))
            ),
        ),
    ]

    def scores(index: int) -> metrics.ClassScores:
        return metrics.class_scores(labels, predicted, index, groups=alone(labels))

    for index in range(classes):
        positive, score = labels == index, probabilities[:, index]
        pairs += [
            (metrics.Ranking(positive, score).auroc(), oracle.roc_auc_score(positive, score)),
            (
                metrics.Ranking(positive, score).average_precision(),
                oracle.average_precision_score(positive, score),
            ),
            (
                scores(index).sensitivity.value,
                oracle.recall_score(positive, predicted == index),
            ),
            (
                scores(index).specificity.value,
                oracle.recall_score(~positive, predicted != index),
            ),
            (
                scores(index).precision.value,
                oracle.precision_score(positive, predicted == index),
            ),
        ]
    ours, theirs = zip(*pairs, strict=True)
    np.testing.assert_allclose(ours, theirs, **EXACT)


def alone(photos) -> np.ndarray:
    """Groups of photos that belong to nobody."""
    return np.full(len(photos), "", object)


def test_curves_agree_with_scikit_learn(photos):
    labels, probabilities = photos
    positive, score = labels == 1, probabilities[:, 1]
    false_positive, true_positive, _ = oracle.roc_curve(positive, score, drop_intermediate=False)
    ours = metrics.Ranking(positive, score).roc()
    np.testing.assert_allclose(ours, (false_positive, true_positive), **EXACT)
    precision, recall, _ = oracle.precision_recall_curve(positive, score)
    ours = metrics.Ranking(positive, score).precision_recall()
    # scikit-learn runs the other way, and stops where all positives are found.
    np.testing.assert_allclose(ours[0][: len(recall)], recall[::-1], **EXACT)
    np.testing.assert_allclose(ours[1][: len(recall)], precision[::-1], **EXACT)


def test_a_table_worked_by_hand():
    labels = np.array([0, 0, 0, 1, 1])
    predicted = np.array([0, 0, 1, 1, 0])
    confusion = metrics.confusion_matrix(labels, predicted, 2)
    assert confusion.tolist() == [[2, 1], [1, 1]]
    scores = metrics.class_scores(labels, predicted, 1, groups=alone(labels))
    assert scores.sensitivity.value == 1 / 2
    assert scores.specificity.value == 2 / 3
    assert scores.precision.value == 1 / 2
    assert metrics.balanced_accuracy(confusion) == pytest.approx((2 / 3 + 1 / 2) / 2)
    with_an_empty_class = np.pad(confusion, ((0, 1), (0, 1)))
    assert metrics.balanced_accuracy(with_an_empty_class) == metrics.balanced_accuracy(confusion)
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.6, 0.4]])
    # Positive scores .7 .4 against .1 .2 .6: pairs won 3 + 2 of 6.
    ranking = metrics.Ranking(labels == 1, probabilities[:, 1])
    assert ranking.auroc() == pytest.approx(5 / 6)
    assert ranking.average_precision() == pytest.approx((1 + 2 / 3) / 2)
    squares = [0.01, 0.04, 0.36, 0.09, 0.36]
    assert metrics.brier(labels, probabilities) == pytest.approx(2 * np.mean(squares))


def test_undefined_is_none_and_warns_of_nothing():
    none = np.zeros(0, int)
    nothing = np.zeros((0, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kinds in ([True, True], [False], []):
            positive = np.array(kinds, bool)
            ranking = metrics.Ranking(positive, np.linspace(0, 1, len(positive)))
            assert ranking.auroc() is ranking.average_precision() is None
        assert metrics.negative_log_likelihood(none, nothing) is None
        assert metrics.brier(none, nothing) is None
        assert metrics.balanced_accuracy(np.zeros((2, 2), int)) is None
        empty = metrics.class_scores(np.zeros(3, int), np.zeros(3, int), 1, groups=alone("abc"))
    assert empty.sensitivity.value is None
    assert empty.precision.reason
    assert empty.specificity.value == 1.0
    assert metrics.expected_calibration_error([]) is None
    sure_and_wrong = np.array([[1.0, 0.0]])
    assert metrics.negative_log_likelihood(np.array([1]), sure_and_wrong) is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([np.nan, 0.5], "b.jpg .*not a number"),
        ([1.5, -0.5], "b.jpg .*outside"),
        ([1.000005, 0.0], "b.jpg .*outside"),
        ([0.5, 0.4], "b.jpg .*sum is 0.9"),
        ([0.5, 0.50002], "b.jpg .*sum is 1.00002"),
    ],
)
def test_what_is_no_distribution_is_refused(row, message):
    with pytest.raises(ValueError, match=message):
        metrics.check_probabilities(np.array([[0.5, 0.5], row]), ["a.jpg", "b.jpg"])


def test_reliability_counts_every_photo_once_at_the_edges_too():
    confidence = np.array([0.5, 0.55, 0.949999, 0.95, 1.0, 1.0])
    correct = np.array([True, False, True, True, True, False])
    bins = metrics.reliability(confidence, correct)
    assert [b.n for b in bins] == [1, 1, 0, 0, 0, 0, 0, 0, 1, 3]
    assert [b.correct for b in bins] == [1, 0, 0, 0, 0, 0, 0, 0, 1, 2]
    assert bins[2].confidence is bins[2].accuracy.value is None
    assert (bins[0].low, bins[-1].high) == (0.5, 1.0)
    gaps = 0.5 + 0.55 + (1 - 0.949999) + abs(2 - 2.95)
    assert metrics.expected_calibration_error(bins) == pytest.approx(gaps / 6)


@pytest.mark.parametrize("name", ["auroc", "average_precision"])
def test_photos_drawn_several_times_count_as_if_each_were_there(name, photos):
    labels, probabilities = photos
    positive, score = labels == 1, probabilities[:, 1]
    ranking = metrics.Ranking(positive, score)
    draws = np.random.default_rng(5).integers(len(labels), size=(20, len(labels)))
    for indices in draws:
        drawn = np.bincount(indices, minlength=len(labels))
        there = metrics.Ranking(positive[indices], score[indices])
        assert getattr(ranking, name)(drawn) == getattr(there, name)()
    assert getattr(ranking, name)(np.where(positive, 0, 1)) is None


def test_a_confidence_that_rounding_left_below_its_least_is_in_the_first_bin():
    bins = metrics.reliability(np.array([0.499999]), np.array([True]))
    assert [b.n for b in bins] == [1] + [0] * 9


def test_the_first_of_equally_common_classes_is_the_commonest():
    assert metrics.commonest({"a": 2, "b": 3, "c": 3}) == ("b", 3)


def test_shuffled_labels_give_one_half():
    key = np.random.default_rng(3)
    labels = key.permutation(np.repeat([0, 1], 2000))
    score = key.uniform(size=4000)
    assert metrics.Ranking(labels == 1, score).auroc() == pytest.approx(0.5, abs=0.03)
    confusion = metrics.confusion_matrix(labels, (score > 0.5).astype(int), 2)
    assert metrics.balanced_accuracy(confusion) == pytest.approx(0.5, abs=0.03)


def test_metrics_load_nothing_heavy():
    code = (
        "import sys, stn_jax.evaluation.metrics, stn_jax.evaluation.table, "
        "stn_jax.evaluation.selective; "
        "sys.exit(any(m in sys.modules for m in ('orbax', 'matplotlib', 'tensorflow_datasets')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
