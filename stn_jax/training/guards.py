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
    """Warns when the transformer looks away from the photo or at almost nothing of it.

    Attributes:
      max_outside: how far, in photo sides, crops may reach out of the photo on average.
      min_scale: smallest mean side of a crop, in photo sides.
      patience: checks in a row that may fail before the warning.
    """

    max_outside: float = 1.0
    min_scale: float = 0.02
    patience: int = 3
    _failed: int = 0

    def check(self, step: int, metrics: Mapping[str, float]) -> str | None:
        """Returns a warning, once for each time the transformer collapses."""
        outside, scale = metrics["outside"], metrics["scale"]
        healthy = outside <= self.max_outside and scale >= self.min_scale
        self._failed = 0 if healthy else self._failed + 1
        if self._failed != self.patience:
            return None
        return (
            f"step {step}: the transformer has collapsed (crops of {scale:.2f} photo sides, "
            f"{outside:.2f} sides outside). Lower --train.localization-rate or the learning rate, "
            "or use --model.transform attention --model.keep-inside"
        )
