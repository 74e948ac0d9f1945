"""What a person sees of a run: progress, metrics.jsonl, TensorBoard."""

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import rich.progress
import tensorboardX
from rich.console import Console

from stn_jax.training.workdir import append_metrics

_QUIET_SECONDS = 60.0


class Reporter:
    """Writes metrics to files, and progress to the terminal or, without one, a line a minute."""

    def __init__(self, workdir: Path, *, steps: int, start: int, console: Console | None = None):
        self._workdir = workdir
        self._steps = steps
        self._console = console or Console(soft_wrap=True, highlight=False)
        self._board = tensorboardX.SummaryWriter(str(workdir / "tensorboard"))
        self._shown: dict[str, float] = {}
        self._started = self._last_line = time.monotonic()
        self._start = start
        self._bar = rich.progress.Progress(
            "[bold]training",
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeRemainingColumn(elapsed_when_finished=True),
            "{task.fields[shown]}",
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=steps, completed=start, shown="compiling ...")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()
        self._board.close()

    def say(self, text: str) -> None:
        """Prints one line above the bar."""
        self._console.print(text, markup=False)

    def advance(self, step: int) -> None:
        """Moves the bar to `step`."""
        self._bar.update(self._task, completed=step)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Keeps values under their names, such as `train/loss`, at `step`."""
        append_metrics(self._workdir, {"step": step, **values})
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        self._shown |= values
        summary = self._summary()
        self._bar.update(self._task, completed=step, shown=summary)
        now = time.monotonic()
        if not self._console.is_terminal and (
            now - self._last_line >= _QUIET_SECONDS or step == self._steps
        ):
            self._last_line = now
            self.say(f"step {step}/{self._steps}  {summary}  {self._remaining(step, now)}")

    def _summary(self) -> str:
        wanted = {
            "train/loss": "loss {:.3f}",
            "train/accuracy": "accuracy {:.2f}",
            "val/accuracy": "validation {:.3f}",
            "train/scale": "scale {:.2f}",
            "photos_per_second": "{:.1f} photos/s",
        }
        return "  ".join(
            text.format(self._shown[name]) for name, text in wanted.items() if name in self._shown
        )

    def _remaining(self, step: int, now: float) -> str:
        done = step - self._start
        if not done or step >= self._steps:
            return ""
        seconds = (now - self._started) / done * (self._steps - step)
        return f"about {seconds / 60:.0f} min left" if seconds > 90 else f"{seconds:.0f} s left"
