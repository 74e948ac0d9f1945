"""How fast is a step of training, against the same network in torch?

The paper's experiment (configs/derm.py: 136.6 million weights with the localization net's) in
float32 on the CPU, from uint8 photos to Adam's new weights: ours as `stn_jax.train` runs it;
torch's (benchmarks/torch_peer.py) eager and compiled, in both memory layouts. Each contestant is
alone in a process and has one batch in memory. All take turns in every round, so that what else the
machine does meets all alike: a step that does not count, and three that do, one after the other as
in training. A ratio is the median over the rounds of (their time / ours in the same round): above
1, ours is quicker.

Compiling is what the first step takes beyond the median of the later ones; memory is the most that
a process has beyond its libraries in these. Linux only. Needs torch: pip install torch

    python -m benchmarks.step --output benchmarks/results/step.json

The largest scene needs 16 GB of memory. One scene at a time: --scenes NAME; the others' results
stay in the file. GLIBC_TUNABLES=glibc.malloc.hugetlb=1 in front gives all of them large pages.
"""

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import step_worker, turns
from benchmarks.change import change
from benchmarks.step_worker import Turn
from configs.derm import get_config
from stn_jax.config import Config

OURS = "ours"
CONTESTANTS = (
    OURS,
    "torch eager contiguous",
    "torch eager channels_last",
    "torch compiled contiguous",
    "torch compiled channels_last",
)
CLOCKS = ("seconds", "cpu_seconds")


def scene(photo_size: tuple[int, int], crop_size: tuple[int, int], batch_size: int) -> Config:
    """The paper's experiment at other sizes."""
    return change(
        get_config(),
        data={"photo_size": photo_size},
        model={"crop_size": crop_size},
        train={"batch_size": batch_size},
    )


SCENES = {
    "third-16": scene((210, 315), (70, 105), 16),
    "paper-4": scene((630, 945), (210, 315), 4),
    "paper-15": scene((630, 945), (210, 315), 15),
}


class Contestant:
    """A process in which one contestant's step waits for its turns."""

    def __init__(self, name: str, config: Config):
        self.name = name
        self._process = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        self.weights, self.first = self._ask(step_worker.start, name, config)
        print(f"{name}: first step {self.first.seconds:.1f} s", file=sys.stderr)
        self.turns: list[Turn] = []

    def __enter__(self) -> "Contestant":
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.shutdown()

    def take_turn(self) -> None:
        """Takes a few steps."""
        self.turns.append(self._ask(step_worker.turn))

    def describe(self, ours: Sequence[Turn], clock: str) -> dict[str, Any]:
        """A row of the table; `ours` are our turns of the same rounds."""
        seconds, cpu_seconds = (median(self.turns, of) for of in CLOCKS)
        return {
            "contestant": self.name,
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "times_as_long": times_as_long(self.turns, ours, clock),
            "megabytes": self._ask(step_worker.peak_bytes) / 1e6,
            "compile_seconds": self.first.seconds - seconds,
            "compile_cpu_seconds": self.first.cpu_seconds - cpu_seconds,
            "weights": self.weights,
            "losses": [turn.loss for turn in (self.first, *self.turns)],
        }

    def _ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self._process.submit(function, *arguments).result()


def times_as_long(theirs: Sequence[Turn], ours: Sequence[Turn], clock: str) -> float:
    """The median over the rounds of their time as a multiple of ours."""
    theirs, ours = ([getattr(turn, clock) for turn in each] for each in (theirs, ours))
    return turns.times_as_long(theirs, ours)


def median(turns: Sequence[Turn], clock: str) -> float:
    return statistics.median(getattr(turn, clock) for turn in turns)


def compare(
    config: Config,
    names: Sequence[str],
    *,
    rounds: int,
    clock: str,
    on_round: Callable[[list[dict[str, Any]]], None],
) -> list[dict[str, Any]]:
    """Measures all contestants in turns; `on_round` is told the rows after every round."""
    rows = []
    with ExitStack() as processes:
        contestants = [processes.enter_context(Contestant(name, config)) for name in names]
        for _ in range(rounds):
            for contestant in contestants:
                contestant.take_turn()
            ours = contestants[0].turns
            rows = [contestant.describe(ours, clock) for contestant in contestants]
            on_round(rows)
    return rows


def record(output: Path, name: str, result: dict[str, Any]) -> None:
    """Puts one scene's result in the file, beside those of other scenes that are there."""
    report = json.loads(output.read_text()) if output.exists() else {}
    output.write_text(json.dumps({**report, name: result}, indent=2) + "\n")


def print_table(name: str, rows: list[dict[str, Any]]) -> None:
    """Prints a row for every contestant, and what torch's quickest takes as a multiple of ours."""
    heads = ("step, s", "CPU s", "x ours", "MB", "compile, s")
    print(f"\n{name:30}" + "".join(f"{head:>12}" for head in heads))
    for row in rows:
        cells = (f"{row['seconds']:.2f}", f"{row['cpu_seconds']:.2f}",
                 f"{row['times_as_long']:.2f}", f"{row['megabytes']:.0f}",
                 f"{row['compile_seconds']:.1f}")  # fmt: skip
        print(f"{row['contestant']:30}" + "".join(f"{cell:>12}" for cell in cells))
    if peers := rows[1:]:
        best = min(peers, key=lambda row: row["times_as_long"])
        print(f"torch's best takes {best['times_as_long']:.2f} times as long as ours", flush=True)


def machine() -> dict[str, Any]:
    """What the numbers belong to."""
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    versions = {name: version(name) for name in ("jax", "jaxlib", "flax", "torch")}
    cores = len(os.sched_getaffinity(0))
    return {
        "cpu": model,
        "cores": cores,
        "python": platform.python_version(),
        "GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES"),
        **versions,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.step", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--scenes", nargs="+", choices=SCENES, default=list(SCENES),
        help="sizes of photos, and photos in a batch (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--contestants", nargs="+", choices=CONTESTANTS[1:], default=CONTESTANTS[1:],
        help="those that ours is measured against (default: all)",
    )  # fmt: skip
    turns.add_options(parser, rounds=5)
    options = parser.parse_args()
    if find_spec("torch") is None:
        parser.error("torch is not installed: pip install torch")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    clock = CLOCKS[options.cpu_time]
    settings = {"machine": machine(), "rounds": options.rounds, "clock": clock}
    for name in options.scenes:

        def keep(rows: list[dict[str, Any]], name: str = name) -> None:
            if options.output:
                record(options.output, name, {**settings, "rows": rows})

        names = (OURS, *options.contestants)
        rows = compare(SCENES[name], names, rounds=options.rounds, clock=clock, on_round=keep)
        print_table(name, rows)


if __name__ == "__main__":
    os.environ["JAX_PLATFORMS"] = "cpu"
    # A compiler that finds the work of an earlier run does not show what it takes.
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    with tempfile.TemporaryDirectory() as empty:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = empty
        main()
