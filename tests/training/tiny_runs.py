"""What tests need to make runs and to look into them."""

import dataclasses
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tensorboardX.proto.event_pb2 import Event

import stn_jax.config
from stn_jax.config import (
    AugmentConfig,
    Config,
    DataConfig,
    ModelConfig,
    SyntheticConfig,
    TrainConfig,
)

CLEAN_CACHE_VARIABLE = "STN_JAX_TEST_CACHE"
PROGRAM = Path(__file__).parents[2] / "train.py"


def tiny_config(model: dict[str, Any] | None = None, **train: Any) -> Config:
    """A run of 30 steps over 3 and 3/4 epochs, with dropout, augmentation and Adam's moments."""
    options = {
        "steps": 30,
        "batch_size": 8,
        "learning_rate": 1e-2,
        "eval_every": 10,
        "checkpoint_every": 10,
        "log_every": 1,
        "figure_every": 1000,
    }
    layers = {
        "crop_size": (8, 12),
        "view_shrink": 3,
        "localization_channels": (4,),
        "localization_units": 8,
        "channels": ((4,), (8,)),
        "dense": (16,),
    }
    return Config(
        name="tiny",
        data=DataConfig(
            source="synthetic",
            photo_size=(24, 36),
            synthetic=SyntheticConfig(train=64, val=12, test=8),
            augment=AugmentConfig(flip=True, rotate=20.0, brightness=0.1),
            cache_dir=os.environ[CLEAN_CACHE_VARIABLE] + "/photos",
        ),
        model=ModelConfig(**(layers | (model or {}))),
        train=TrainConfig(**(options | train)),
    )


def with_train(config: Config, **train: Any) -> Config:
    """The same experiment with other options of training."""
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **train))


def metrics(workdir: Path) -> list[dict[str, Any]]:
    """Lines of metrics.jsonl, without what depends on the clock."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    clock = ("train/photos_per_second", "train/input_stall")
    return [{name: v for name, v in line.items() if name not in clock} for line in lines]


def sessions(workdir: Path) -> list[tuple[int, list[tuple[int, str]]]]:
    """What TensorBoard reads: for each session its first step, and (step, tag) of its events."""
    found = []
    for path in sorted((workdir / "tensorboard").iterdir()):
        content, start, events = path.read_bytes(), 0, []
        while start < len(content):
            # Length, its sum, the event, its sum.
            (length,) = struct.unpack_from("<Q", content, start)
            events.append(Event.FromString(content[start + 12 : start + 12 + length]))
            start += 12 + length + 4
        (first,) = (event.step for event in events if event.HasField("session_log"))
        tags = [(event.step, value.tag) for event in events for value in event.summary.value]
        found.append((first, tags))
    return found


def assert_same_bits(one: Any, other: Any) -> None:
    """Compares two trees to the last bit."""
    for (path, a), b in zip(jax.tree.leaves_with_path(one), jax.tree.leaves(other), strict=True):
        same = np.asarray(a).tobytes() == np.asarray(b).tobytes()
        assert same, f"{jax.tree_util.keystr(path)} differs"


def write_config(config: Config, folder: Path) -> Path:
    """A configuration file that returns `config`."""
    folder.mkdir(parents=True, exist_ok=True)
    values, path = folder / "tiny.json", folder / "tiny.py"
    values.write_text(stn_jax.config.to_json(config))
    path.write_text(
        "import pathlib\n"
        "import stn_jax.config\n\n\n"
        "def get_config():\n"
        f"    text = pathlib.Path({str(values)!r}).read_text()\n"
        "    return stn_jax.config.from_json(text)\n"
    )
    return path


def start_program(config: Path, workdir: Path, *options: str, **env: str) -> subprocess.Popen:
    """Starts train.py as a person would; its output is in `.stdout`."""
    return subprocess.Popen(
        [
            sys.executable,
            str(PROGRAM),
            "--config",
            str(config),
            "--workdir",
            str(workdir),
            *options,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **env},
    )


def finish(process: subprocess.Popen) -> str:
    """Waits for a program; returns everything it printed from now on."""
    return process.communicate(timeout=300)[0]
