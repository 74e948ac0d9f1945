"""What several runs got right together: counts pooled over folds, areas averaged, and compared."""

import dataclasses
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from stn_jax.evaluation.geometry import share_covered
from stn_jax.evaluation.intervals import bootstrap, rate
from stn_jax.evaluation.metrics import Ranking, commonest
from stn_jax.evaluation.summary import PAPER_CUTOFF, paired
from stn_jax.evaluation.table import PredictionTable
from stn_jax.evaluation.words import number, percent


@dataclasses.dataclass(frozen=True)
class Tested:
    """One configuration, trained and evaluated on one fold.

    Attributes:
      configuration: its name.
      fold: whose test.
      table: predictions of the test photos, of two classes.
      metrics: what the evaluation wrote.
      cpu_seconds: spent on training.
    """

    configuration: str
    fold: int
    table: PredictionTable
    metrics: Mapping[str, Any]
    cpu_seconds: float


def pool(runs: Sequence[Tested]) -> dict[str, Any]:
    """What one configuration got right over its folds, with intervals."""
    labels, correct, confidence, areas = (
        np.concatenate([getattr(run.table, name) for run in runs])
        for name in ("label", "correct", "confidence", "area")
    )
    groups = _groups(runs)

    def right_among(photos: Bool[np.ndarray, " photo"]) -> dict[str, Any]:
        return rate(correct[photos], groups[photos]).to_json()

    sure = confidence >= PAPER_CUTOFF
    size = tuple(runs[0].metrics["photo_size"])
    aurocs = [_ranking(run).auroc() for run in runs]
    defined = [area for area in aurocs if area is not None]
    mean = bootstrap(_mean_auroc(runs), groups)
    return {
        "configuration": runs[0].configuration,
        "folds": [run.fold for run in runs],
        "photos": len(labels),
        "class_counts": {
            name: int((labels == index).sum()) for index, name in enumerate(runs[0].table.classes)
        },
        "right": rate(correct, groups).to_json(),
        "found": {
            name: right_among(labels == index) for index, name in enumerate(runs[0].table.classes)
        },
        "sure": {"threshold": PAPER_CUTOFF, "photos": int(sure.sum()), **right_among(sure)},
        "auroc": {
            "by_fold": aurocs,
            "sd": statistics.stdev(defined) if len(defined) == len(runs) > 1 else None,
            "mean": mean.to_json(),
        },
        "scale": float(np.mean([np.sqrt(share_covered(area, size)) for area in areas])),
        "best_steps": [run.metrics["model"]["step"] for run in runs],
        "weights": runs[0].metrics["model"]["weights"],
        "git_revisions": sorted({str(run.metrics["git_revision"]) for run in runs}),
        "training_cpu_seconds": [run.cpu_seconds for run in runs],
    }


def compare(first: Sequence[Tested], other: Sequence[Tested]) -> dict[str, Any]:
    """Sets another configuration beside the first, on the test photos of the same folds."""
    for ours, theirs in zip(first, other, strict=True):
        if ours.table.file != theirs.table.file:
            raise ValueError(f"fold {ours.fold} has other test photos under {theirs.configuration}")
    ours, theirs = (np.concatenate([run.table.correct for run in runs]) for runs in (first, other))
    of_first, of_other = _mean_auroc(first), _mean_auroc(other)

    def difference(drawn: Int[np.ndarray, " photo"]) -> float | None:
        values = of_other(drawn), of_first(drawn)
        return None if None in values else values[0] - values[1]

    return {
        "first": first[0].configuration,
        "mcnemar": paired(ours, theirs, _groups(first))["mcnemar"],
        "auroc_difference": bootstrap(difference, _groups(first)).to_json(),
    }


def summarise(runs: Sequence[Tested]) -> list[dict[str, Any]]:
    """Pools each configuration's runs, and compares each but the first with the first."""
    by_name: dict[str, dict[int, Tested]] = {}
    for run in runs:
        by_name.setdefault(run.configuration, {})[run.fold] = run
    first, *others = by_name.values()
    results = [pool([*first.values()])]
    for other in others:
        same = [first[fold] for fold in other]
        results.append(pool([*other.values()]) | {"against": compare(same, [*other.values()])})
    return results


def leave_out(runs: Sequence[Tested], files: Collection[str]) -> list[Tested]:
    """The same runs, tested on the photos that are not among `files` alone.

    Raises:
      ValueError: when one of `files` is a test photo of no run.
    """
    strangers = set(files) - {file for run in runs for file in run.table.file}
    if strangers:
        raise ValueError(f"{min(strangers)} is no test photo of any run")
    kept = [np.flatnonzero([file not in files for file in run.table.file]) for run in runs]
    return [
        dataclasses.replace(run, table=run.table.rows(rows))
        for run, rows in zip(runs, kept, strict=True)
    ]


def _ranking(run: Tested) -> Ranking:
    return Ranking(run.table.label == 1, run.table.probabilities[:, 1])


def _mean_auroc(runs: Sequence[Tested]) -> Callable[[Int[np.ndarray, " photo"]], float | None]:
    """From how often each photo of all folds is drawn to the mean of the folds' AUROCs."""
    rankings = [_ranking(run) for run in runs]
    ends = np.cumsum([len(run.table) for run in runs])[:-1]

    def mean(drawn: Int[np.ndarray, " photo"]) -> float | None:
        parts = zip(rankings, np.split(drawn, ends), strict=True)
        values = [ranking.auroc(part) for ranking, part in parts]
        return None if None in values else statistics.fmean(values)

    return mean


def _groups(runs: Sequence[Tested]) -> np.ndarray:
    return np.concatenate([run.table.group for run in runs])


def print_table(results: Sequence[Mapping[str, Any]]) -> None:
    """Prints one line for each configuration: pooled counts, AUROC, and the comparison."""
    for result in results:
        right, auroc = result["right"], result["auroc"]
        found = ", ".join(
            f"{name} {part['count']} ({_share(part, 0)})" for name, part in result["found"].items()
        )
        print(
            f"{result['configuration']}: right {right['count']} of {result['photos']} "
            f"({_share(right, 1)}); found {found}"
        )
        name, count = commonest(result["class_counts"])
        print(f"  always calling it {name}: right {count} ({percent(count / result['photos'])})")
        folds = " ".join(map(number, auroc["by_fold"]))
        sure = result["sure"]
        cutoff, counts = percent(sure["threshold"], 0), f"{sure['count']} of {sure['photos']}"
        print(f"  at least {cutoff} sure: {counts} right")
        print(f"  AUROC {_text(auroc['mean'])}; by fold {folds}; scale {result['scale']:.2f}")
        if against := result.get("against"):
            test = against["mcnemar"]
            p = "" if test["p"] is None else f", p = {test['p']:.2g}"
            print(
                f"  against {against['first']}: AUROC {_text(against['auroc_difference'], '+')}; "
                f"right alone {test['theirs_only']} against {test['ours_only']}{p}"
            )


def _share(rate: Mapping[str, Any], digits: int) -> str:
    value, low, high = (percent(rate[name], digits) for name in ("value", "low", "high"))
    return value if rate["low"] is None else f"{value}, {low} to {high}"


def _text(interval: Mapping[str, Any], sign: str = "") -> str:
    value, low, high = (
        "-" if interval[name] is None else f"{interval[name]:{sign}.3f}"
        for name in ("value", "low", "high")
    )
    return f"{value} ({interval.get('reason') or f'{low} to {high}'})"
