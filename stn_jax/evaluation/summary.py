"""From tables of predictions to metrics.json: every number that a report or a figure shows.

What is undefined is null, beside a `reason`.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from stn_jax.evaluation import geometry, metrics, selective
from stn_jax.evaluation.decision import Decision
from stn_jax.evaluation.intervals import bootstrap, mcnemar, rate
from stn_jax.evaluation.slices import MOST_SLICES, slice_column
from stn_jax.evaluation.table import PredictionTable

PAPER_CUTOFF = 0.95
"""The paper accepts pictures for which its model is at least this certain."""
_RANKED = ("auroc", "average_precision")


def summarise(
    test: PredictionTable,
    *,
    decision: Decision | None = None,
    validation: PredictionTable | None = None,
    photo_size: tuple[int, int] | None = None,
    split: str = "test",
    repeats: int = 1000,
) -> dict:
    """Computes metrics.json's part that follows from predictions.

    Args:
      test: calibrated predictions.
      decision: what was decided on validation photos; None for a table of which no more is known.
      validation: its photos, calibrated, to compare with.
      photo_size: height and width to which positions in the tables refer; None: unknown.
      split: its name.
      repeats: bootstrap draws.
    """
    confusion = metrics.confusion_matrix(test.label, test.predicted, len(test.classes))
    per_class = _per_class(test, confusion, repeats)
    correct = int(test.correct.sum())
    return {
        "split": split,
        "n": len(test),
        "groups": len(set(test.group) - {""}),
        "ungrouped": int((test.group == "").sum()),
        "classes": list(test.classes),
        "class_counts": dict(zip(test.classes, confusion.sum(axis=1).tolist(), strict=True)),
        "confusion": confusion.tolist(),
        "correct": correct,
        "accuracy": rate(test.correct, test.group).to_json(),
        "balanced_accuracy": metrics.balanced_accuracy(confusion),
        "per_class": per_class,
        **_ranking(test, per_class, repeats),
        "bootstrap_draws": repeats,
        "nll": metrics.negative_log_likelihood(test.label, test.probabilities),
        "brier": metrics.brier(test.label, test.probabilities),
        "reliability": _reliability(test, test.probabilities),
        "temperature": decision.temperature if decision else None,
        "calibration": _calibration(test, decision, validation),
        "paper_cutoff": accepted_from(test, PAPER_CUTOFF),
        "selective": _selective(test, decision),
        "aurc": selective.aurc(test.confidence, test.correct),
        "augrc": selective.augrc(test.confidence, test.correct),
        "stn": _stn(test, photo_size),
        "slices": _slices(test),
        "reasons": _reasons(test, decision),
    }


def accepted_from(table: PredictionTable, threshold: float) -> dict:
    """Counts what a confidence threshold accepts, and how much of it is right."""
    return {"threshold": threshold, **_accepted(table, table.confidence >= threshold)}


def _accepted(table: PredictionTable, accepted: Bool[np.ndarray, " photo"]) -> dict:
    right = rate(table.correct[accepted], table.group[accepted])
    if not right.of:
        right = dataclasses.replace(right, reason="no photo is accepted")
    return {
        "accepted": right.of,
        "correct": right.count,
        "coverage": right.of / len(table) if len(table) else None,
        "accuracy": right.to_json(),
    }


def _per_class(table: PredictionTable, confusion: np.ndarray, repeats: int) -> dict:
    found = {}
    for index, name in enumerate(table.classes):
        scores = metrics.class_scores(table.label, table.predicted, index, groups=table.group)
        found[name] = {
            "n": int(confusion[index].sum()),
            **{f.name: getattr(scores, f.name).to_json() for f in dataclasses.fields(scores)},
            **_ranked(table, [index], repeats, reason=_one_class_only(table, index)),
        }
    return found


def _one_class_only(table: PredictionTable, index: int) -> str:
    if not len(table):
        return "no photo"
    which = "no" if not (table.label == index).any() else "only"
    return f"{which} photos of {table.classes[index]}"


def _ranking(table: PredictionTable, per_class: Mapping[str, dict], repeats: int) -> dict:
    """AUROC and average precision: of the last class for two, else the mean over classes."""
    classes = table.classes
    if len(classes) == 2:
        scores = per_class[classes[1]]
        return {"positive_class": classes[1], **{name: scores[name] for name in _RANKED}}
    reason = "a class has no photos, or all of them"
    return {
        "positive_class": None,
        **_ranked(table, range(len(classes)), repeats, reason=reason),
    }


def _ranked(table: PredictionTable, classes: Sequence[int], repeats: int, *, reason: str) -> dict:
    """Scores of each class against the rest, averaged over `classes`; `reason`: why undefined."""
    rankings = [metrics.Ranking(table.label == c, table.probabilities[:, c]) for c in classes]

    def mean(name: str, drawn: Int[np.ndarray, " photo"]) -> float | None:
        values = [getattr(ranking, name)(drawn) for ranking in rankings]
        return None if None in values else float(np.mean(values))

    found = {}
    for name in _RANKED:
        interval = bootstrap(functools.partial(mean, name), table.group, repeats=repeats)
        if interval.value is None:
            interval = dataclasses.replace(interval, reason=reason)
        found[name] = interval.to_json()
    return found


def _reliability(table: PredictionTable, probabilities: Float[np.ndarray, "photo label"]) -> list:
    confidence = probabilities[np.arange(len(table)), table.predicted]
    bins = metrics.reliability(
        confidence, table.correct, table.group, num_classes=len(table.classes)
    )
    return [{**dataclasses.asdict(b), "accuracy": b.accuracy.to_json()} for b in bins]


def _calibration(
    test: PredictionTable, decision: Decision | None, validation: PredictionTable | None
) -> dict:
    if decision is None or validation is None:
        return {"fitted_on": None, "reason": "no validation predictions beside this table"}
    return {
        "fitted_on": "val",
        "n": len(validation),
        "wrong": int((~validation.correct).sum()),
        "temperature": decision.temperature,
        "before": {
            "val": _probability_scores(validation, validation.raw),
            "test": _probability_scores(test, test.raw),
            "test_reliability": _reliability(test, test.raw),
        },
        "after": {
            "val": _probability_scores(validation, validation.probabilities),
            "test": _probability_scores(test, test.probabilities),
        },
    }


def _probability_scores(
    table: PredictionTable, probabilities: Float[np.ndarray, "photo label"]
) -> dict:
    confidence = probabilities[np.arange(len(table)), table.predicted]
    bins = metrics.reliability(confidence, table.correct, num_classes=len(table.classes))
    return {
        "nll": metrics.negative_log_likelihood(table.label, probabilities),
        "brier": metrics.brier(table.label, probabilities),
        "ece": metrics.expected_calibration_error(bins),
    }


def _selective(test: PredictionTable, decision: Decision | None) -> dict:
    counts = _accepted(test, test.accepted)
    interval = counts.pop("accuracy")
    found = {
        "target_error": None,
        "confidence": None,
        "threshold": None,
        **counts,
        "accuracy": interval["value"],
        "low": interval["low"],
        "high": interval["high"],
    }
    if decision is None:
        return found | {"reason": "no validation predictions beside this table"}
    selection = decision.selection
    found |= {
        "target_error": selection.target_error,
        "confidence": selection.confidence,
        "threshold": selection.threshold,
        "validation": {
            "n": selection.n,
            "accepted": selection.accepted,
            "errors": selection.errors,
            "error_bound": selection.error_bound,
            "thresholds_tried": selection.candidates,
        },
        "photos_needed": selection.photos_needed,
        # Even the most that the test's photos allow is less than what was promised.
        "contradicted": interval["high"] is not None
        and interval["high"] < 1 - selection.target_error,
    }
    reason = selection.reason or interval.get("reason")
    return found | ({"reason": reason} if reason else {})


def _stn(table: PredictionTable, photo_size: tuple[int, int] | None) -> dict:
    located = np.isfinite(table.area).all(axis=(1, 2))
    found: dict = {
        "theta": [
            {"mean": float(column.mean()), "sd": float(column.std())} for column in table.theta.T
        ]
        if len(table)
        else [],
        "baselines": {
            name: paired(table.correct, predicted == table.label, table.group)
            for name, predicted in table.baselines.items()
        },
    }
    if photo_size is None or not located.any():
        reason = "no areas of interest in this table"
        return found | {"zoom": None, "outside": None, "lesion": None, "reason": reason}
    areas = table.area[located]
    zooms = np.array([geometry.zoom(area, photo_size) for area in areas])
    outside = np.array([geometry.share_outside(area, photo_size) for area in areas])
    covered = np.array([geometry.share_covered(area, photo_size) for area in areas])
    centres = areas.mean(axis=1) / (photo_size[1], photo_size[0])
    found |= {
        "located": int(located.sum()),
        "zoom": _spread(zooms[np.isfinite(zooms)]),
        "scale": _spread(np.sqrt(covered)),
        "area_of_photo": _spread(covered),
        "centre_x": _spread(centres[:, 0]),
        "centre_y": _spread(centres[:, 1]),
        "outside": {
            "mean_share": float(outside.mean()),
            "crops_over_1_percent": int((outside > 0.01).sum()),
            "crops_over_half": int((outside > 0.5).sum()),
        },
        "lesion": _lesion(table, located),
    }
    return found


def _spread(values: Float[np.ndarray, " photo"]) -> dict | None:
    if not len(values):
        return None
    low, median, high = np.quantile(values, [0.05, 0.5, 0.95])
    return {
        "mean": float(values.mean()),
        "sd": float(values.std()),
        "median": float(median),
        "p5": float(low),
        "p95": float(high),
    }


def paired(
    ours: Bool[np.ndarray, " photo"],
    theirs: Bool[np.ndarray, " photo"],
    groups: Shaped[np.ndarray, " photo"],
) -> dict[str, object]:
    """Compares which photos two classifiers have right: the other's count, and McNemar's test."""
    ours_only, theirs_only = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    p = mcnemar(ours, theirs, groups)
    test = {"ours_only": ours_only, "theirs_only": theirs_only, "p": p}
    if p is None:
        test["reason"] = "both are right on the same photos"
    right = rate(theirs, groups)
    return {"correct": right.count, "accuracy": right.to_json(), "mcnemar": test}


def _lesion(table: PredictionTable, located: Bool[np.ndarray, " photo"]) -> dict | None:
    known = located & np.isfinite(table.lesion).all(axis=1)
    if not known.any():
        return None
    pairs = zip(table.area[known], table.lesion[known], strict=True)
    overlaps = [geometry.lesion_overlap(area, lesion) for area, lesion in pairs]
    inside = table.lesion_inside[known]
    hits = np.array([hit for _, _, hit in overlaps])
    return {
        "n": int(known.sum()),
        "centre_inside": rate(hits, table.group[known]).to_json(),
        "share_inside": _spread(inside[np.isfinite(inside)]),
        "iou": _spread(np.array([iou for _, iou, _ in overlaps])),
    }


def _slices(table: PredictionTable) -> dict:
    found = {}
    for column, values in table.metadata.items():
        groups = slice_column(values)
        if groups is None:
            found[column] = {"values": None, "reason": f"more than {MOST_SLICES} different values"}
            continue
        found[column] = {
            "values": {name: _slice(table, members) for name, members in groups.items()}
        }
    return found


def _slice(table: PredictionTable, members: Bool[np.ndarray, " photo"]) -> dict:
    right = rate(table.correct[members], table.group[members])
    return {
        "n": right.of,
        "correct": right.count,
        "accuracy": right.to_json(),
        "accepted": int(table.accepted[members].sum()),
    }


def _reasons(table: PredictionTable, decision: Decision | None) -> dict[str, str]:
    """Why plain numbers at the top level are null."""
    reasons = {}
    if decision is None:
        reasons["temperature"] = "no validation predictions beside this table"
    if not len(table):
        nothing = ("balanced_accuracy", "nll", "brier", "aurc", "augrc")
        return reasons | dict.fromkeys(nothing, "no photo")
    if metrics.negative_log_likelihood(table.label, table.probabilities) is None:
        reasons["nll"] = "infinite: a true class was given probability 0"
    if len(table.classes) > 2:
        reasons["positive_class"] = "more than two classes: means over one-against-rest"
    return reasons
