"""Trainings of a comparison: variations of a configuration, and what they cost."""

import dataclasses
import time
from pathlib import Path
from typing import Any

from stn_jax import train
from stn_jax.config import Config


def change(config: Config, **parts: dict[str, Any]) -> Config:
    """Replaces some fields of a configuration's parts, such as train={"steps": 100}."""
    changed = {
        name: dataclasses.replace(getattr(config, name), **fields) for name, fields in parts.items()
    }
    return dataclasses.replace(config, **changed)


def train_to_the_end(config: Config, workdir: Path) -> float:
    """Trains a run, or goes on with it.

    Returns:
      CPU seconds of this call and of those before it that were stopped.

    Raises:
      SystemExit: it was asked to stop before the end.
    """
    before = time.process_time()
    finished = train(config, workdir).finished
    spent = workdir / "cpu_seconds.txt"
    with spent.open("a") as lines:
        lines.write(f"{time.process_time() - before:.1f}\n")
    if not finished:
        raise SystemExit("stopped; the same command goes on")
    return sum(map(float, spent.read_text().split()))
