"""Distorted MNIST with and without the transformer: the table of the paper that introduced it.

Every network is trained and evaluated as any user would, from configs/distorted_mnist.py, by
`stn_jax.train` and `stn_jax.evaluate`, on digits distorted anew in every step; the 10,000 test
digits are distorted by a fixed seed. A run keeps its workdir: one that is done is not done again,
one that was stopped goes on.

    python -m benchmarks.mnist --root MNIST --output benchmarks/results/mnist.json
"""

import dataclasses
import runpy
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import tyro

import stn_jax.cli
from benchmarks.change import change
from benchmarks.runs import train_and_evaluate, write
from stn_jax.config import Config
from stn_jax.evaluation.intervals import wilson
from stn_jax.evaluation.table import read_table

Task = Literal["R", "RTS", "P", "E", "TC"]
Transform = Literal["identity", "affine", "attention", "projective", "tps"]
Head = Literal["dense", "heatmap"]

get_config = runpy.run_path(str(Path(__file__).parents[1] / "configs" / "distorted_mnist.py"))[
    "get_config"
]

PUBLISHED: Mapping[Task, Mapping[Transform, float]] = {
    "R": {"identity": 1.2, "affine": 0.7, "projective": 0.8, "tps": 0.7},
    "RTS": {"identity": 0.8, "affine": 0.5, "projective": 0.6, "tps": 0.5},
    "P": {"identity": 1.5, "affine": 0.8, "projective": 0.8, "tps": 0.8},
    "E": {"identity": 1.4, "affine": 1.2, "projective": 1.3, "tps": 1.1},
    "TC": {"identity": 3.5, "affine": 1.7},
}
"""Errors in %, Jaderberg et al. 2015 (arXiv:1506.02025), table 1 and appendix A.4; identity is
their CNN. Means of three runs of 150,000 steps."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Distorted MNIST with and without the transformer, several seeds each."""

    root: str
    """Folder of MNIST's four files."""
    tasks: tuple[Task, ...] = ("RTS", "TC")
    """Distortions."""
    transforms: tuple[Transform, ...] = ("identity", "affine", "attention")
    """Families of the learned map; identity is the network without a transformer."""
    head: Head | None = None
    """What gives theta; by default the configuration's."""
    seeds: int = 3
    """Seeds 0, 1, ... of the weights and of the order of the digits."""
    steps: int | None = None
    """Batches that every network learns from; by default the configuration's."""
    batch_size: int | None = None
    """Digits in each; by default the configuration's."""
    weight_decay: float | None = None
    """Of every network's kernels; by default the configuration's."""
    workdir: Path = Path("runs/mnist")
    """Where the runs go, one folder each."""
    output: Path | None = None
    """File for the results, as JSON."""


def make_config(task: Task, transform: Transform, seed: int, options: Options) -> Config:
    """The configuration of one run."""
    config = get_config(task, transform, None if transform == "identity" else options.head)
    changed = {name: getattr(options, name) for name in ("steps", "batch_size", "weight_decay")}
    given = {name: value for name, value in changed.items() if value is not None}
    return change(config, data={"root": options.root}, train={"seed": seed} | given)


def run(config: Config, workdir: Path) -> dict[str, Any]:
    """Trains and evaluates one run, unless that is done.

    Returns:
      steps, batch_size and weight_decay; wrong and digits of the test; and the CPU seconds of
      training.

    Raises:
      SystemExit: it was asked to stop before the end.
    """
    seconds = train_and_evaluate(config, workdir)
    table = read_table(workdir / "evaluation" / "predictions.csv")
    return {
        "steps": config.train.steps,
        "batch_size": config.train.batch_size,
        "weight_decay": config.train.weight_decay,
        "wrong": int((table.predicted != table.label).sum()),
        "digits": len(table),
        "training_cpu_seconds": round(seconds),
    }


def summarise(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Brings the seeds of a network together.

    Returns:
      One row for each task, transform and head (None without a transformer), in the order they
      first came: the error of each seed, their mean and standard deviation (None of one seed) in %,
      the counts over all seeds, the 95 % interval of the mean for as many digits as one test has
      (it knows nothing of the spread of seeds), the paper's error (None where it gives none), and
      the median of the CPU seconds.
    """
    groups: dict[tuple[Task, Transform, Head | None], list[Mapping[str, Any]]] = {}
    for each in runs:
        groups.setdefault((each["task"], each["transform"], each["head"]), []).append(each)
    return [_row(*network, seeds) for network, seeds in groups.items()]


def _row(
    task: Task, transform: Transform, head: Head | None, seeds: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    errors = [100 * each["wrong"] / each["digits"] for each in seeds]
    wrong, digits = (sum(each[name] for each in seeds) for name in ("wrong", "digits"))
    # Every seed is tested on the same digits.
    interval = wilson(round(wrong / len(seeds)), digits // len(seeds))
    return {
        "task": task,
        "transform": transform,
        "head": head,
        "seeds": len(seeds),
        "errors": errors,
        "mean": statistics.fmean(errors),
        "deviation": statistics.stdev(errors) if len(errors) > 1 else None,
        "wrong": wrong,
        "digits": digits,
        "interval": [100 * interval.low, 100 * interval.high],
        "published": PUBLISHED[task].get(transform),
        "training_cpu_seconds": statistics.median(each["training_cpu_seconds"] for each in seeds),
    }


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints the errors in %, one line for each network."""
    print(f"{'error in %':23}{'mean':>7}{'by seed':>20}{'wrong of':>18}{'paper':>8}{'CPU s':>8}")
    for row in rows:
        errors = " ".join(f"{error:.2f}" for error in row["errors"])
        counts = f"{row['wrong']} of {row['digits']}"
        paper = "" if row["published"] is None else f"{row['published']:.1f}"
        print(
            f"{' '.join(_network(row)):23}{row['mean']:7.2f}{errors:>20}{counts:>18}"
            f"{paper:>8}{row['training_cpu_seconds']:>8.0f}"
        )


def _network(row: Mapping[str, Any]) -> list[str]:
    """Task, family and head, where there is one."""
    return [row[name] for name in ("task", "transform", "head") if row[name]]


def main() -> int:
    """Trains, evaluates and counts, seed by seed, writing what is known after every run."""
    options = tyro.cli(Options)
    runs: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        for task in options.tasks:
            for transform in options.transforms:
                config = make_config(task, transform, seed, options)
                head = None if transform == "identity" else config.model.head
                network = {"task": task, "transform": transform, "head": head}
                result = run(config, options.workdir / "-".join([*_network(network), str(seed)]))
                runs.append(network | {"seed": seed} | result)
                if options.output:
                    write(options.output, rows=summarise(runs), runs=runs)
    print_table(summarise(runs))
    return 0


if __name__ == "__main__":
    sys.exit(stn_jax.cli.run(main, resumes=True))
