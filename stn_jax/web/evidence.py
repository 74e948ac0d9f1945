"""What a model's test says: read from the evaluation of these very weights, or not at all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stn_jax.evaluation.written import read_written

SHOWN = (
    "split",
    "n",
    "groups",
    "ungrouped",
    "classes",
    "class_counts",
    "confusion",
    "correct",
    "accuracy",
    "per_class",
    "auroc",
    "reliability",
    "temperature",
    "selective",
)
"""The parts of metrics.json that are shown; its configuration holds paths of the trainer's."""


def read_evidence(workdir: Path, fingerprint: str) -> dict[str, Any] | None:
    """The shown parts of metrics.json; None where this model has not been evaluated.

    Raises:
      WorkdirError: when the file is damaged, or of another version's making.
    """

    def take(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
        if metrics["model"]["fingerprint"] != fingerprint:
            return None
        return {name: metrics[name] for name in SHOWN}

    return read_written(workdir, take)


def similar_photos(evidence: Mapping[str, Any], confidence: float) -> Mapping[str, Any]:
    """The bin of test photos of about this confidence; it may be empty."""
    bins = evidence["reliability"]
    # The first and last bin take what rounding puts just beyond them.
    return next((b for b in bins if confidence < b["high"]), bins[-1])
