"""Trainings of a comparison: each done once, and what was found, as JSON."""

import json
import time
from pathlib import Path
from typing import Any

import jax

from stn_jax import evaluate, train
from stn_jax.config import Config, to_json
from stn_jax.training.workdir import write_atomically


def train_and_evaluate(config: Config, workdir: Path) -> float:
    """Trains a run to its end and evaluates it, unless that is done.

    Returns:
      CPU seconds of training, those of calls that were stopped included.

    Raises:
      SystemExit: it was asked to stop before the end.
    """
    done, wanted = workdir / "done.json", json.loads(to_json(config))
    if not done.exists() or json.loads(done.read_text())["config"] != wanted:
        seconds = _train(config, workdir)
        evaluate(workdir)
        facts = {"config": wanted, "cpu_seconds": seconds}
        write_atomically(done, json.dumps(facts) + "\n")
    return json.loads(done.read_text())["cpu_seconds"]


def _train(config: Config, workdir: Path) -> float:
    before = time.process_time()
    finished = train(config, workdir).finished
    spent = workdir / "cpu_seconds.txt"
    with spent.open("a") as lines:
        lines.write(f"{time.process_time() - before:.1f}\n")
    if not finished:
        raise SystemExit("stopped; the same command goes on")
    return sum(map(float, spent.read_text().split()))


def write(output: Path, **found: Any) -> None:
    """Writes what is known so far, and on which machine it was found."""
    machine = {"device": jax.devices()[0].device_kind, "jax": jax.__version__}
    write_atomically(output, json.dumps({"machine": machine, **found}, indent=2) + "\n")
