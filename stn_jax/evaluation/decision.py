"""What validation photos alone decide: the temperature, and when to answer."""

import dataclasses
import hashlib

import numpy as np
from jaxtyping import Int

from stn_jax.evaluation.calibration import fit_temperature
from stn_jax.evaluation.intervals import group_members
from stn_jax.evaluation.selective import Selection, choose_threshold
from stn_jax.evaluation.table import PredictionTable


@dataclasses.dataclass(frozen=True)
class Decision:
    """How raw probabilities become answers."""

    temperature: float
    selection: Selection

    def apply(self, table: PredictionTable) -> PredictionTable:
        """Calibrates a table and marks the photos that get an answer."""
        return table.calibrated(temperature=self.temperature, threshold=self.selection.threshold)


def decide(
    validation: PredictionTable, *, target_error: float = 0.1, certainty: float = 0.95
) -> Decision:
    """Fits the temperature and chooses the threshold; needs no other table, and sees none.

    The temperature is fitted on every photo. The threshold's promise counts independent photos:
    one of each group (patient), and is about such photos, one of each.

    Raises:
      ValueError: without validation photos.
    """
    temperature = fit_temperature(validation.label, validation.raw)
    calibrated = validation.calibrated(temperature=temperature, threshold=None)
    independent = calibrated.rows(_one_of_each_group(validation))
    selection = choose_threshold(
        independent.confidence,
        independent.correct,
        target_error=target_error,
        certainty=certainty,
    )
    return Decision(temperature, selection)


def _one_of_each_group(table: PredictionTable) -> Int[np.ndarray, " group"]:
    """Places of one photo of each group, as good as drawn: the first by name could be of a class.

    Names begin with the class where folders are classes.
    """
    draws = [hashlib.sha256(file.encode()).digest() for file in table.file]
    members = group_members(table.group)
    return np.array([min(photos, key=lambda place: draws[place]) for photos in members])
