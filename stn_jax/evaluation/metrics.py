"""How good predictions are: counts, ranking, and probabilities. NumPy only, float64.

Where a metric is undefined (no photo, one class only) it is None, never 0 or 1.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from stn_jax.evaluation.intervals import Rate, rate


def check_probabilities(
    probabilities: Float[np.ndarray, "photo label"], files: Sequence[str]
) -> None:
    """Refuses what is no distribution over the classes.

    Raises:
      ValueError: naming the first file with a NaN, a value outside [0, 1], or a sum other than 1.
    """
    sums = probabilities.sum(axis=1)
    why = "The model has diverged, or the predictions file was changed"
    faults = {
        f"one is not a number. {why}": ~np.isfinite(probabilities).all(axis=1),
        f"one is outside 0..1. {why}": ((probabilities < 0) | (probabilities > 1)).any(axis=1),
        "their sum is {:.6g}, not 1": np.abs(sums - 1) > 1e-5,
    }
    for fault, rows in faults.items():
        if rows.any():
            row = int(np.argmax(rows))
            values = probabilities[row].tolist()
            raise ValueError(f"probabilities of {files[row]} {values}: {fault.format(sums[row])}")


def confusion_matrix(
    labels: Int[np.ndarray, " photo"], predicted: Int[np.ndarray, " photo"], num_classes: int
) -> Int[np.ndarray, "label label"]:
    """Counts photos by true class (rows) and predicted class (columns)."""
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def commonest(class_counts: Mapping[str, int]) -> tuple[str, int]:
    """The class of most photos, the first of equal ones, and how many these are.

    As many are right when every photo is called so without a look: every accuracy is to be compared
    with that.
    """
    return max(class_counts.items(), key=lambda item: item[1])


@dataclasses.dataclass(frozen=True)
class ClassScores:
    """One class against the rest, each with Wilson's interval."""

    sensitivity: Rate
    """Share of the class's photos that were called so."""
    specificity: Rate
    """Share of the other photos that were not called so."""
    precision: Rate
    """Share of the photos called so that are of the class."""


def class_scores(
    label: Int[np.ndarray, " photo"],
    predicted: Int[np.ndarray, " photo"],
    index: int,
    *,
    groups: Shaped[np.ndarray, " photo"],
) -> ClassScores:
    """Sensitivity, specificity and precision of class `index`; see `rate` for `groups`."""
    actual, called = label == index, predicted == index
    return ClassScores(
        sensitivity=rate(called[actual], groups[actual]),
        specificity=rate(~called[~actual], groups[~actual]),
        precision=rate(actual[called], groups[called]),
    )


def balanced_accuracy(confusion: Int[np.ndarray, "label label"]) -> float | None:
    """Mean sensitivity over the classes that have photos; None without photos."""
    actual = confusion.sum(axis=1)
    present = actual > 0
    if not present.any():
        return None
    return float(np.mean(np.diag(confusion)[present] / actual[present]))


class Ranking:
    """Photos sorted by their score once, so that every draw of a bootstrap is quick to judge.

    Methods take `drawn`, how often each photo counts; by default once.

    Args:
      positive: which photos are of the class.
      score: how much the model takes them to be so.
    """

    def __init__(self, positive: Bool[np.ndarray, " photo"], score: Float[np.ndarray, " photo"]):
        self._order = np.argsort(-score, kind="stable")
        self._positive = positive[self._order]
        # The last photo ends a tie, too: whatever it is compared with, it differs from NaN.
        self._ends_of_ties = np.flatnonzero(np.diff(score[self._order], append=np.nan))

    def auroc(self, drawn: Int[np.ndarray, " photo"] | None = None) -> float | None:
        """Chance that a positive photo scores above a negative one, ties counting half.

        Source: Hanley and McNeil 1982; the trapezoidal area equals Mann-Whitney's U.

        Returns:
          In [0, 1]; None unless both kinds are present.
        """
        true_positives, accepted = self.falling_threshold(drawn)
        false_positives = accepted - true_positives
        pairs = true_positives[-1] * false_positives[-1]
        if not pairs:
            return None
        middles = (true_positives[1:] + true_positives[:-1]) / 2
        return float(np.sum(np.diff(false_positives) * middles) / pairs)

    def average_precision(self, drawn: Int[np.ndarray, " photo"] | None = None) -> float | None:
        """Area under the precision-recall steps, without interpolation.

        Returns:
          In (0, 1]; None unless both kinds are present: of positives alone it is 1 in any order.
        """
        true_positives, accepted = self.falling_threshold(drawn)
        if not 0 < true_positives[-1] < accepted[-1]:
            return None
        recall = true_positives / true_positives[-1]
        return float(np.sum(np.diff(recall) * (true_positives[1:] / accepted[1:])))

    def roc(
        self, drawn: Int[np.ndarray, " photo"] | None = None
    ) -> tuple[Float[np.ndarray, " step"], Float[np.ndarray, " step"]]:
        """False- and true-positive rates as the threshold falls, from (0, 0) to (1, 1).

        Both kinds must be present.
        """
        true_positives, accepted = self.falling_threshold(drawn)
        false_positives = accepted - true_positives
        return false_positives / false_positives[-1], true_positives / true_positives[-1]

    def precision_recall(
        self, drawn: Int[np.ndarray, " photo"] | None = None
    ) -> tuple[Float[np.ndarray, " step"], Float[np.ndarray, " step"]]:
        """Recall and precision as the threshold falls, from recall 0, precision 1 by convention.

        At least one photo must be positive.
        """
        true_positives, accepted = self.falling_threshold(drawn)
        precision = np.concatenate([[1.0], true_positives[1:] / accepted[1:]])
        return true_positives / true_positives[-1], precision

    def falling_threshold(
        self, drawn: Int[np.ndarray, " photo"] | None = None
    ) -> tuple[Float[np.ndarray, " step"], Float[np.ndarray, " step"]]:
        """Positives and photos at or above each score that is drawn, from the highest, after 0."""
        drawn = np.ones(len(self._order), int) if drawn is None else drawn[self._order]
        accepted = np.cumsum(drawn)[self._ends_of_ties]
        true_positives = np.cumsum(drawn * self._positive)[self._ends_of_ties]
        steps = np.flatnonzero(np.diff(accepted, prepend=0))
        return (
            np.concatenate([[0.0], true_positives[steps]]),
            np.concatenate([[0.0], accepted[steps]]),
        )


def negative_log_likelihood(
    labels: Int[np.ndarray, " photo"], probabilities: Float[np.ndarray, "photo label"]
) -> float | None:
    """Mean of -log p(true class), in nats; None without photos or where it is infinite."""
    own = probabilities[np.arange(len(labels)), labels]
    if not len(labels) or (own == 0).any():
        return None
    return float(-np.mean(np.log(own)))


def brier(
    labels: Int[np.ndarray, " photo"], probabilities: Float[np.ndarray, "photo label"]
) -> float | None:
    """Mean squared distance to the true class's one-hot vector, summed over classes, in [0, 2].

    Source: Brier 1950, "Verification of forecasts expressed in terms of probability".
    """
    if not len(labels):
        return None
    truth = np.eye(probabilities.shape[1])[labels]
    return float(np.mean(np.sum((probabilities - truth) ** 2, axis=1)))


@dataclasses.dataclass(frozen=True)
class ReliabilityBin:
    """Photos of similar confidence, and how many of them were right."""

    low: float
    """Lower edge of the bin, included."""
    high: float
    """Upper edge, excluded but for the last bin."""
    n: int
    correct: int
    confidence: float | None
    """Mean confidence; None in an empty bin."""
    accuracy: Rate


def reliability(
    confidence: Float[np.ndarray, " photo"],
    correct: Bool[np.ndarray, " photo"],
    groups: Shaped[np.ndarray, " photo"] | None = None,
    *,
    num_classes: int = 2,
    bins: int = 10,
) -> list[ReliabilityBin]:
    """Bins photos by confidence, in equal steps from 1 / `num_classes` (its least) to 1.

    Args:
      confidence: of each photo.
      correct: whether it was right.
      groups: the group (patient) of each photo; by default each is of its own.
      num_classes: how many classes there are.
      bins: how many steps.
    """
    groups = np.full(len(correct), "") if groups is None else groups
    edges = np.linspace(1 / num_classes, 1, bins + 1)
    which = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, bins - 1)
    found = []
    for index in range(bins):
        inside = which == index
        right = rate(correct[inside], groups[inside])
        mean = float(confidence[inside].mean()) if right.of else None
        low, high = float(edges[index]), float(edges[index + 1])
        found.append(ReliabilityBin(low, high, right.of, right.count, mean, right))
    return found


def expected_calibration_error(bins: list[ReliabilityBin]) -> float | None:
    """Mean distance of confidence and accuracy over the bins, weighted by photos.

    Source: Naeini, Cooper and Hauskrecht 2015, "Obtaining well calibrated probabilities using
    Bayesian binning".
    """
    total = sum(b.n for b in bins)
    if not total:
        return None
    return (
        sum(abs(b.correct - b.n * b.confidence) for b in bins if b.confidence is not None) / total
    )
