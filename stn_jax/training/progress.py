"""What early stopping remembers from evaluation to evaluation."""

import dataclasses
import math


@dataclasses.dataclass
class Progress:
    """The best evaluation so far; saved with every checkpoint.

    Attributes:
      best_loss: smallest validation loss; None before the first evaluation.
      best_step: the step it was measured at.
      fruitless: evaluations since then.
      evaluated: step of the last evaluation; an interrupted one is made up for on resuming.
    """

    best_loss: float | None = None
    best_step: int = 0
    fruitless: int = 0
    evaluated: int = 0

    def record(self, step: int, loss: float, *, min_change: float) -> bool:
        """Takes in an evaluation; True when it is the best so far. A loss of NaN never is."""
        self.evaluated = step
        best = math.inf if self.best_loss is None else self.best_loss - min_change
        if loss < best:
            self.best_loss, self.best_step, self.fruitless = loss, step, 0
            return True
        self.fruitless += 1
        return False

    def catch_up(self, step: int, loss: float) -> None:
        """Takes in the best evaluation, if it was made up for after the checkpoint was saved."""
        if step > self.evaluated:
            self.record(step, loss, min_change=-math.inf)
