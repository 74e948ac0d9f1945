"""What an evaluation wrote into a workdir: where it lies, and how it is read back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from stn_jax.training.workdir import WorkdirError, command_for

METRICS = Path("evaluation/metrics.json")
"""Where, in a workdir, an evaluation keeps its numbers, and the temperature and threshold it
decided on."""
PREDICTIONS, VALIDATION = "predictions.csv", "predictions_val.csv"
"""Beside it: the tables of the split, and of the photos that these were decided on."""
OTHER_MODEL = "other weights, or of other options of the model"
"""What an evaluation is of whose fingerprint is not the predictor's."""

T = TypeVar("T")


def folder_of(workdir: Path, split: str) -> Path:
    """Where the evaluation of a split lies in a workdir."""
    folder = workdir / METRICS.parent
    return folder if split == "test" else folder / split


def evaluate_again(workdir: Path, split: str = "test") -> str:
    """The command that evaluates a split."""
    return command_for(workdir, "evaluate.py", *(() if split == "test" else ("--split", split)))


def read_written(
    workdir: Path, take: Callable[[dict[str, Any]], T], *, split: str = "test"
) -> T | None:
    """Takes what is wanted from metrics.json.

    Args:
      workdir: the run's folder.
      take: gets the numbers, and returns what is wanted of them.
      split: the photos that were evaluated.

    Returns:
      What `take` returned; None where that split has not been evaluated.

    Raises:
      WorkdirError: when the file is damaged, or lacks what `take` looks for.
    """
    path = folder_of(workdir, split) / METRICS.name
    try:
        return take(json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise WorkdirError(
            f"{path} is damaged ({error!r}); evaluate again: {evaluate_again(workdir, split)}"
        ) from error
