"""Watches a run for the ways in which it can go wrong."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stn_jax.training.errors import NonFiniteError


def check_finite(step: int, metrics: Mapping[str, Any], files: Callable[[], Sequence[str]]) -> None:
    """Stops a run before a broken state reaches a checkpoint.

    Args:
      step: the step that gave these metrics.
      metrics: with `loss` and `gradient_norm`.
      files: names the photos of the batch, if asked.

    Raises:
      NonFiniteError: naming the step and the photos.
    """
    broken = [name for name in ("loss", "gradient_norm") if not math.isfinite(metrics[name])]
    if broken:
        raise NonFiniteError(
            f"step {step}: {' and '.join(broken)} not finite. The last checkpoint is from before; "
            "lower --train.learning-rate or set --train.clip-norm. Photos of the batch: "
            + ", ".join(files())
        )


@dataclasses.dataclass
class CollapseWatch:
    """Notices when the transformer looks away from the photo, at almost nothing, or always there.

    Attributes:
      patience: steps in a row that must look collapsed.
      max_outside: largest mean share of the crop that may lie outside the photo.
      min_scale: smallest mean side of a crop, in photo sides.
      max_condition: largest mean ratio of a crop's longest stretch to its shortest.
      min_spread: smallest spread of the crops over a batch, in photo sides, once they varied.
      varied: whether the spread was ever ten times that: at the start all crops are the same, and
        that is no collapse.
    """

    patience: int = 50
    max_outside: float = 0.5
    min_scale: float = 0.05
    max_condition: float = 20.0
    min_spread: float = 1e-4
    varied: bool = False
    _failed: int = 0

    @property
    def failing(self) -> bool:
        """Whether the last step looked collapsed."""
        return self._failed > 0

    def check(self, step: int, metrics: Mapping[str, Any]) -> str | None:
        """Takes in a step; returns what is wrong, once for each collapse."""
        problem = self._problem(metrics)
        self._failed = self._failed + 1 if problem else 0
        if problem is None or self._failed != self.patience:
            return None
        return (
            f"step {step}: the transformer has collapsed: for {self.patience} steps, {problem}. "
            "Lower --train.localization-rate or --train.learning-rate, or use "
            "--model.transform attention --model.keep-inside"
        )

    def _problem(self, metrics: Mapping[str, Any]) -> str | None:
        self.varied = self.varied or bool(metrics["spread"] >= 10 * self.min_spread)
        if metrics["outside"] > self.max_outside:
            return f"{metrics['outside']:.0%} of the crop lies outside the photo"
        if metrics["scale"] < self.min_scale:
            return f"the crop is {metrics['scale']:.3f} photo sides wide"
        if metrics["condition"] > self.max_condition:
            return f"the crop is stretched {metrics['condition']:.0f} times more one way"
        if self.varied and metrics["spread"] < self.min_spread:
            return "it looks at the same place in every photo"
        return None
