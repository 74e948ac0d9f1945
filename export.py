"""Writes a trained model as files that need nothing of this project to run."""

import dataclasses
import sys
from pathlib import Path

import tyro

from stn_jax import cli


@dataclasses.dataclass(frozen=True)
class Command:
    """Write a trained model as files that need nothing of this project to run.

    model.stablehlo and weights.npz run with jax and numpy alone, as the README.md beside them
    shows; model.json says what else an answer needs (classes, threshold, preparation of photos).
    model.onnx is written where jax2onnx and onnxruntime are installed.
    """

    workdir: Path
    """Folder of the run."""
    out: Path | None = None
    """Folder to write to; WORKDIR/export when not given."""


def main() -> int:
    """Reads the command line and exports."""
    command = tyro.cli(Command)
    from stn_jax.evaluation.export import export
    from stn_jax.evaluation.predictor import load_predictor

    for line in export(load_predictor(command.workdir), command.out or command.workdir / "export"):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main))
