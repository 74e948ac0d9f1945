"""Another evaluated run beside this one: on the same photos, or refused."""

import dataclasses
from pathlib import Path
from typing import Any

from stn_jax.evaluation.facts import FIXED_CROPS
from stn_jax.evaluation.predictor import load_predictor
from stn_jax.evaluation.summary import paired
from stn_jax.evaluation.table import PredictionTable, TableError, read_table
from stn_jax.evaluation.written import (
    OTHER_MODEL,
    PREDICTIONS,
    evaluate_again,
    folder_of,
    read_written,
)
from stn_jax.training.workdir import Run, WorkdirError, read_run

_OF_CLASSIFIER = (
    "crop_size",
    "channels",
    "dense",
    "dropout",
    "batch_norm",
    "global_pool",
    "global_statistics",
    "global_blocks",
)
"""Options of the model that make the network behind the crop."""
_LEAVE_PHOTOS_ALONE = ("root", "default_root", "cache", "cache_dir", "balance", "augment")
"""Options of the data that the photos of an evaluation do not depend on."""


def read_other(workdir: Path, ours: Run, split: str) -> tuple[str, PredictionTable]:
    """Reads another run's predictions of the split.

    Returns:
      What the report calls that run, and its table.

    Raises:
      WorkdirError: when it is of other photos, or not evaluated as it is now.
    """
    run, file = read_run(workdir), folder_of(workdir, split) / PREDICTIONS
    evaluate_it = evaluate_again(workdir, split)
    if not may_have_same_photos(ours, run):
        raise WorkdirError(f"--compare {workdir}: it was trained and evaluated on other photos")
    # The metrics are written last: an evaluation that was stopped may have left predictions alone.
    evaluated = read_written(workdir, lambda m: m["model"]["fingerprint"], split=split)
    if evaluated is None or not file.is_file():
        raise WorkdirError(
            f"--compare {workdir}: not evaluated on its {split} photos yet: {evaluate_it}"
        )
    if evaluated != load_predictor(workdir).fingerprint:
        raise WorkdirError(
            f"--compare {workdir}: its evaluation is of {OTHER_MODEL} than now: {evaluate_it}"
        )
    return _name_of_other(workdir, ours, run), read_table(file)


def _name_of_other(workdir: Path, ours: Run, other: Run) -> str:
    """What the report calls another run: what differs, where its classifier is the same."""
    crop = FIXED_CROPS.get(other.config.model.transform)
    classifiers = [
        [getattr(run.config.model, name) for name in _OF_CLASSIFIER] for run in (ours, other)
    ]
    if crop is None:
        return f"the run in {workdir}"
    same = classifiers[0] == classifiers[1]
    return f"the same network on {crop}" if same else f"the run in {workdir}, on {crop}"


def may_have_same_photos(run: Run, other: Run) -> bool:
    """Whether names of photos can mean the same photos in both runs.

    Photos of folders can be told apart where both runs prepared and divided them alike.
    """
    ours, theirs = run.config.data, other.config.data
    if run.synthetic or other.synthetic:
        return run.synthetic == other.synthetic and ours.synthetic == theirs.synthetic
    if "mnist" in (ours.source, theirs.source):
        return ours.source == theirs.source and ours.mnist == theirs.mnist
    alike = {name: getattr(ours, name) for name in _LEAVE_PHOTOS_ALONE}
    if dataclasses.replace(theirs, **alike) != ours:
        return True
    return run.data_fingerprint == other.data_fingerprint


def compare_with(table: PredictionTable, name: str, other: PredictionTable) -> dict[str, Any]:
    """Compares two tables photo by photo, as metrics.json has it.

    Raises:
      TableError: when they are not of the same photos with the same labels.
    """
    if other.file != table.file or _names_of_labels(other) != _names_of_labels(table):
        raise TableError(f"--compare: {name} was evaluated on other photos")
    return {"name": name, **paired(table.correct, other.correct, table.group)}


def _names_of_labels(table: PredictionTable) -> list[str]:
    return [table.classes[label] for label in table.label]
