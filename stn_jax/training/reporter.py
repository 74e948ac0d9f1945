"""What a person sees of a run: progress, metrics.jsonl, TensorBoard."""

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import rich.progress
from jaxtyping import Float
from rich.console import Console

from stn_jax.training.board import Board
from stn_jax.training.devices import is_main
from stn_jax.training.workdir import append_metrics

_FIRST_WAIT, _LONGEST_WAIT = 5.0, 60.0
"""Seconds between lines where there is no terminal: they double from the first to the longest."""

_SUMMARY = {
    "train/loss": "loss {:.3f}",
    "train/accuracy": "accuracy {:.2f}",
    "val/accuracy": "validation {:.3f}",
    "train/scale": "scale {:.2f}",
    "train/photos_per_second": "{:.1f} photos/s",
    "saved": "saved {:.0f}",
}


class _Console(Console):
    """Falls silent when nobody reads it any more (`| head`): days of training must not end so."""

    def on_broken_pipe(self) -> None:
        with contextlib.suppress(SystemExit):
            super().on_broken_pipe()


class Reporter:
    """Writes metrics to files, and progress to a bar or, without a terminal, in lines.

    In a job of several processes the main one speaks for all.
    """

    def __init__(self, workdir: Path, *, steps: int, console: Console | None = None):
        self._workdir = workdir
        self._steps = steps
        self._console = console or _Console(
            soft_wrap=True, highlight=False, emoji=False, quiet=not is_main()
        )
        self._board: Board | None = None
        self._board_from = 0
        self._shown: dict[str, float] = {}
        self._wait = _FIRST_WAIT
        self._started = self._last_line = time.monotonic()
        self._start = 0
        self._bar = rich.progress.Progress(
            "[bold]training",
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeRemainingColumn(elapsed_when_finished=True),
            "{task.fields[shown]}",
            console=self._console,
            disable=not self._console.is_terminal,
            speed_estimate_period=300,
        )
        self._task = self._bar.add_task("", total=steps, shown="")

    def __enter__(self) -> "Reporter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._bar.stop()
        if self._board is None:
            return
        try:
            self._board.close()
        except OSError:
            if kind is None:  # otherwise what has already gone wrong is said, and not this
                raise

    def say(self, text: str) -> None:
        """Prints one line, above the bar if there is one."""
        self._console.print(text, markup=False)

    def drop_after(self, step: int) -> None:
        """Takes back what a killed run sent to TensorBoard after `step`, its last checkpoint's."""
        self._board_from = step + 1 if step else 0

    def start(self, step: int) -> None:
        """Shows the bar; the time left counts from here."""
        self._start = step
        self._started = self._last_line = time.monotonic()
        self._bar.reset(self._task, completed=step)
        self._bar.start()

    def advance(self, step: int) -> None:
        """Moves the bar to `step`."""
        self._bar.update(self._task, completed=step)

    def saved(self, step: int) -> None:
        """Shows that a checkpoint was made at `step`."""
        self._show({"saved": float(step)})

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Keeps values under their names, such as `train/loss`, at `step`."""
        if not is_main():
            return
        append_metrics(self._workdir, {"step": step, **values})
        self._open_board().add_scalars(step, values)
        self._show(values)
        if self._console.is_terminal:
            return
        if "val/loss" in values:
            self.say(
                f"step {step}/{self._steps}  validation: loss {values['val/loss']:.3f}  "
                f"accuracy {values['val/accuracy']:.3f}"
            )
        elif (now := time.monotonic()) - self._last_line >= self._wait or step == self._steps:
            self._last_line = now
            self._wait = min(2 * self._wait, _LONGEST_WAIT)
            self.say(f"step {step}/{self._steps}  {self._summary()}{self._remaining(step, now)}")

    def show_crops(
        self, step: int, theta: Float[np.ndarray, "batch ..."], crops: Float[np.ndarray, "b h w c"]
    ) -> None:
        """Sends crops, pixels 0 to 255, and their theta to TensorBoard."""
        pixels = np.clip(crops, 0, 255).astype(np.uint8)
        self._open_board().add_images(step, "crops", pixels)
        rows = (np.array2string(each, precision=3, suppress_small=True) for each in theta)
        self._open_board().add_text(step, "theta", "```\n" + "\n\n".join(rows) + "\n```")

    def _open_board(self) -> Board:
        if self._board is None:
            self._board = Board(self._workdir / "tensorboard", step=self._board_from)
        return self._board

    def _show(self, values: Mapping[str, float]) -> None:
        self._shown |= values
        self._bar.update(self._task, shown=self._summary())

    def _summary(self) -> str:
        return "  ".join(
            text.format(self._shown[name]) for name, text in _SUMMARY.items() if name in self._shown
        )

    def _remaining(self, step: int, now: float) -> str:
        done = step - self._start
        if not done or step >= self._steps:
            return ""
        seconds = (now - self._started) / done * (self._steps - step)
        return f"  {_duration(seconds)} left"


def _duration(seconds: float) -> str:
    """Says it in the unit in which it is read at a glance: a run may take days."""
    if seconds > 100 * 60:
        return f"about {seconds / 3600:.1f} h"
    return f"about {seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"
