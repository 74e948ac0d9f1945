"""What validation photos alone decide: the temperature, and when to answer."""

import dataclasses

import numpy as np

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

    The temperature is fitted on every photo. The threshold's promise counts independent photos,
    so of each group (patient) only the first photo counts.

    Raises:
      ValueError: without validation photos.
    """
    temperature = fit_temperature(validation.label, validation.raw)
    calibrated = validation.calibrated(temperature=temperature, threshold=None)
    one_a_group = np.array([members[0] for members in group_members(validation.group)])
    independent = calibrated.rows(one_a_group)
    selection = choose_threshold(
        independent.confidence,
        independent.correct,
        target_error=target_error,
        certainty=certainty,
    )
    return Decision(temperature, selection)
