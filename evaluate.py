"""Evaluates a trained model on photos it has never seen."""

import dataclasses
import sys
from pathlib import Path
from typing import Literal

import tyro

import stn_jax.cli
from stn_jax.config import ConfigError


@dataclasses.dataclass(frozen=True)
class Command:
    """Evaluate a trained model on photos it has never seen.

    Writes report.html, metrics.json, predictions.csv and figures into evaluation/ in the workdir.
    """

    workdir: Path | None = None
    """Folder of the run; this or --from-predictions."""
    from_predictions: Path | None = None
    """A predictions.csv to compute everything else from again, beside it, without a model."""
    split: Literal["test", "val", "train"] = "test"
    """Photos to evaluate on; the results of val and train go into a folder of their own."""
    target_error: float = 0.1
    """Share of wrong answers that the threshold may let through, in (0, 1)."""
    certainty: float = 0.95
    """How sure that promise must be, in (0, 1)."""
    masks: Path | None = None
    """Folder of lesion masks (PNG, white on black) named after the photos, for comparison."""
    compare: tuple[Path, ...] = ()
    """Folders of other evaluated runs on the same photos, to compare with."""
    data_root: str | None = None
    """Where the photos are now, if they have moved since training."""


def main() -> int:
    """Reads the command line and evaluates."""
    command = tyro.cli(Command)
    from stn_jax.evaluation.evaluate import evaluate, evaluate_predictions

    wanted = {"target_error": command.target_error, "certainty": command.certainty}
    for name, value in wanted.items():
        if not 0 < value < 1:
            raise ConfigError(f"--{name.replace('_', '-')} {value} must be in (0, 1)")
    if (command.workdir is None) == (command.from_predictions is None):
        raise ConfigError("give either --workdir RUN or --from-predictions FILE")
    if command.from_predictions is not None:
        _refuse_what_needs_a_model(command)
        evaluate_predictions(command.from_predictions, **wanted)
    else:
        evaluate(
            command.workdir,
            split=command.split,
            masks=command.masks,
            compare=command.compare,
            data_root=command.data_root,
            **wanted,
        )
    return 0


def _refuse_what_needs_a_model(command: Command) -> None:
    for option in ("split", "masks", "compare", "data_root"):
        if getattr(command, option) != getattr(Command, option):
            raise ConfigError(f"--{option.replace('_', '-')} needs --workdir, not a table")


if __name__ == "__main__":
    sys.exit(stn_jax.cli.run(main))
