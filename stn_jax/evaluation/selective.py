"""When to answer and when to stay silent: risk at every coverage, and a threshold with a promise.

The promise: with probability `confidence` over the draw of the validation photos, new photos that
the threshold accepts are wrong at most `target_error` of the time.

How: fix, before looking, at most `CANDIDATES` numbers of photos to accept. For each, the errors
among the photos more confident than the next one in line are binomial with that threshold's true
error, whatever the confidences are. So an exact binomial test at level (1 - confidence) /
candidates misleads with at most that probability, and by the union bound any of them does with
at most 1 - confidence. The lowest threshold that passes is taken. Because candidates are counts and
not confidences, a temperature fitted on the same photos changes nothing for two classes (for more,
it can reorder photos, by one number fitted on all of them).

It is not assumed that the model's error grows as the threshold falls. It is assumed that new photos
are drawn as the validation photos were, with the same mixture of classes, and that these did not
choose the model. Where they chose its best weights, too, a promise that rests on fewer than about
60 photos is weaker than it says; with more, the correction for the thresholds covers that choice.

Sources: Geifman and El-Yaniv 2017, "Selective classification for deep neural networks" (the
binomial bound); Angelopoulos, Bates, Candes, Jordan and Lei 2021, "Learn then test" (thresholds as
hypotheses, with a correction for their number).
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from stn_jax.evaluation.intervals import binomial_upper

CANDIDATES = 20
"""Thresholds looked at, at most: one for each twentieth of the validation photos."""


@dataclasses.dataclass(frozen=True)
class Selection:
    """A confidence threshold and what validation photos say about it."""

    threshold: float | None
    """Accept photos whose confidence is at least this; None: no threshold can keep the promise."""
    target_error: float
    confidence: float
    candidates: int
    """Thresholds that were looked at, for which the test was corrected."""
    n: int
    """Validation photos it rests on."""
    accepted: int
    """Of them, those it accepts."""
    errors: int
    """Of these, those that are wrong."""
    error_bound: float | None
    """The true error is at most this, with the given confidence, corrected."""
    photos_needed: int | None = None
    """Where there is no threshold: how many more validation photos it would take at least."""
    reason: str | None = None


def choose_threshold(
    confidence: Float[np.ndarray, " photo"],
    correct: Bool[np.ndarray, " photo"],
    *,
    target_error: float = 0.1,
    certainty: float = 0.95,
) -> Selection:
    """The threshold that accepts most photos and keeps the promise of this module.

    Args:
      confidence: of validation photos, independent of each other (one photo a patient), in [0, 1].
      correct: whether each was right.
      target_error: error allowed among accepted photos, in (0, 1).
      certainty: probability with which the promise holds, in (0, 1).

    Raises:
      ValueError: for NaN confidences, or a target or certainty out of range.
    """
    if np.isnan(confidence).any():
        raise ValueError("confidence holds NaN: the model has diverged")
    if not 0 < target_error < 1 or not 0 < certainty < 1:
        raise ValueError(f"target_error {target_error} and certainty {certainty} must be in (0, 1)")
    order = np.argsort(-confidence, kind="stable")
    falling, wrong = confidence[order], ~correct[order]
    counts = candidate_counts(len(falling), target_error=target_error, certainty=certainty)
    risk = (1 - certainty) / max(1, len(counts))
    for count in reversed(counts):
        accepted = _strictly_above(falling, count)
        errors = int(wrong[:accepted].sum())
        # Zero accepted (all tied) never passes: the upper limit is then 1.
        bound = binomial_upper(errors, accepted, risk=risk)
        if bound <= target_error:
            threshold = 0.0 if count == len(falling) else float(np.nextafter(falling[count], 2))
            return Selection(
                threshold,
                target_error,
                certainty,
                len(counts),
                len(falling),
                accepted,
                errors,
                bound,
            )
    more, reason = _photos_needed(wrong, target_error=target_error, certainty=certainty)
    return Selection(
        None, target_error, certainty, len(counts), len(falling), 0, 0, None, more, reason
    )


def candidate_counts(n: int, *, target_error: float, certainty: float) -> list[int]:
    """Numbers of photos to accept that are worth a test, rising; from `n` alone, never the labels.

    A count so small that even no error at all would not pass is left out, and the correction is
    only for those that stay.
    """
    for candidates in range(CANDIDATES, 0, -1):
        first = CANDIDATES - candidates + 1
        counts = sorted({math.ceil(n * j / CANDIDATES) for j in range(first, CANDIDATES + 1)})
        needed = math.log((1 - certainty) / len(counts)) / math.log(1 - target_error)
        if counts[0] >= needed:
            return counts
    return []


def _strictly_above(falling: Float[np.ndarray, " photo"], count: int) -> int:
    """Photos more confident than the one behind the first `count`; fewer than `count` when tied."""
    if count == len(falling):
        return count
    return int(np.searchsorted(-falling, -falling[count], side="left"))


def _photos_needed(
    wrong: Bool[np.ndarray, " photo"], *, target_error: float, certainty: float
) -> tuple[int | None, str]:
    """How many more photos a promise takes at least, if more photos look like these.

    Where no photo is wrong, what one binomial test takes without an error; elsewhere the normal
    approximation of one of several, at the coverage where it takes fewest.
    """
    n, risk = len(wrong), (1 - certainty) / CANDIDATES
    faultless = math.log(risk) / math.log(1 - target_error)
    all_right = math.ceil(math.log(1 - certainty) / math.log(1 - target_error))
    too_few = "too few validation photos for a promise"
    if not wrong.any():
        return max(1, all_right - n), too_few
    accepted = np.unique(np.ceil(n * np.arange(1, CANDIDATES + 1) / CANDIDATES)).astype(int)
    errors = np.cumsum(wrong)[accepted - 1]
    # Half an error more than seen.
    margin = target_error - (errors + 0.5) / (accepted + 1)
    spread = stats.norm.isf(risk) ** 2 * target_error * (1 - target_error)
    trials = np.where(errors == 0, faultless, spread / np.where(margin > 0, margin, np.nan) ** 2)
    hopeful = np.isfinite(trials)
    if not hopeful.any():
        return None, (
            "even the photos it is surest about are wrong too often: "
            "more validation photos alone would not help"
        )
    total = math.ceil((trials * n / accepted)[hopeful].min())
    return max(1, total - n), too_few


def risk_coverage(
    confidence: Float[np.ndarray, " photo"], correct: Bool[np.ndarray, " photo"]
) -> tuple[Float[np.ndarray, " step"], Float[np.ndarray, " step"]]:
    """Coverage and error among the accepted photos, as the threshold passes each confidence."""
    order = np.argsort(-confidence, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(confidence[order])), len(order) - 1)
    errors = np.cumsum(~correct[order])[last_of_tie]
    return (last_of_tie + 1) / len(order), errors / (last_of_tie + 1)


def aurc(
    confidence: Float[np.ndarray, " photo"], correct: Bool[np.ndarray, " photo"]
) -> float | None:
    """Area under the risk-coverage curve: mean error of the k surest, over all k; less is better.

    Ties are in no particular order: the mean over all orders counts.

    Source: Geifman, Uziel and El-Yaniv 2019, "Bias-reduced uncertainty estimation".
    """
    if not len(correct):
        return None
    errors = _errors_in_front(confidence, correct)[1:]
    return float(np.mean(errors / np.arange(1, len(correct) + 1)))


def augrc(
    confidence: Float[np.ndarray, " photo"], correct: Bool[np.ndarray, " photo"]
) -> float | None:
    """Area under the generalized risk-coverage curve, in [0, 1/2]. Lower is better.

    The generalized risk is the share of all photos that are accepted and wrong: errors that slip
    through, averaged over coverages.

    Source: Traub et al. 2024, "Overcoming common flaws in the evaluation of selective
    classification systems".
    """
    if not len(correct):
        return None
    errors = _errors_in_front(confidence, correct) / len(correct)
    return float(np.mean((errors[1:] + errors[:-1]) / 2))


def _errors_in_front(
    confidence: Float[np.ndarray, " photo"], correct: Bool[np.ndarray, " photo"]
) -> Float[np.ndarray, " step"]:
    """Errors among the k surest photos, k = 0..n; linear within ties, their mean over orders."""
    coverage, risk = risk_coverage(confidence, correct)
    n = len(correct)
    accepted = np.concatenate([[0.0], coverage * n])
    errors = np.concatenate([[0.0], risk * coverage * n])
    return np.interp(np.arange(n + 1), accepted, errors)
