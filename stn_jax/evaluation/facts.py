"""What metrics.json says of the model and the data behind the predictions."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax

from stn_jax.data.builder import PhotoDataset
from stn_jax.evaluation.predictor import Predictor
from stn_jax.evaluation.table import TableError
from stn_jax.evaluation.written import METRICS

LEARNED_ZOOM = "the learned zoom"
FIXED_CROPS = {
    "identity": "the whole photo, shrunk (no zoom)",
    "centre": "a fixed centre crop",
}
"""What a network without a learned zoom sees, by its transform."""
_AUDIT = ("refused", "dropped", "duplicates")
"""What an import counts besides the photos it takes."""

_MAY_BE_ABSENT = ("crop", "compared", "unknown")
"""From metrics.json: since an earlier version did not write it, or there is nothing to say."""


def facts_of(predictor: Predictor, dataset: PhotoDataset) -> dict[str, Any]:
    """What metrics.json says besides what follows from the predictions."""
    run = predictor.run
    weights = sum(leaf.size for leaf in jax.tree.leaves(predictor.variables["params"]))
    return {
        "source": run.data_name,
        "synthetic": run.synthetic,
        "crop": FIXED_CROPS.get(run.config.model.transform, LEARNED_ZOOM),
        "photo_size": list(run.config.data.photo_size),
        "crop_size": list(run.config.model.crop_size),
        "model": {
            "fingerprint": predictor.fingerprint,
            "step": predictor.step,
            "by_validation": predictor.by_validation,
            "weights": weights,
            "learned_before": list(run.learned_before),
        },
        "data": {
            "fingerprint": run.data_fingerprint,
            "splits": dataset.report["splits"],
            "taken": dataset.report["taken"],
            **{name: len(dataset.report[name]) for name in _AUDIT},
        },
        "config": dataclasses.asdict(run.config),
        "versions": run.versions,
        "git_revision": run.git_revision,
    }


def known_facts(file: Path) -> dict[str, Any]:
    """The same for a table alone: what an earlier evaluation wrote beside it, else nothing.

    Raises:
      TableError: when what it wrote is damaged.
    """
    known = file.with_name(METRICS.name)
    unknown = {
        "split": "test",
        "source": file.name,
        "synthetic": False,
        "crop": LEARNED_ZOOM,
        "photo_size": None,
        "crop_size": None,
        "model": {"fingerprint": None, "step": None, "weights": None, "learned_before": []},
        "data": dict.fromkeys(("fingerprint", "splits", "taken", *_AUDIT)),
        "config": None,
        "versions": None,
        "git_revision": None,
        "unknown": "from a table of predictions alone: neither the model nor the data are known",
    }
    if not known.is_file():
        return unknown
    try:
        before = json.loads(known.read_text())
        facts = {
            name: before[name]
            for name in (*unknown, "compared")
            if name in before or name not in _MAY_BE_ABSENT
        }
        # What an earlier version did not write.
        facts["model"] = unknown["model"] | facts["model"]
        return {"crop": LEARNED_ZOOM} | facts
    except (ValueError, KeyError, TypeError) as error:
        raise TableError(
            f"{known} is damaged ({error!r}): remove it, or evaluate the workdir"
        ) from error
