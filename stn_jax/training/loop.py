"""A run from its first line to its last: prepare, resume, step, validate, save."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from jaxtyping import PyTree
from rich.console import Console

from stn_jax.config import Config, DataConfig
from stn_jax.data.builder import PhotoDataset, prepare, resolve_source
from stn_jax.data.pipeline import eval_batches, to_devices, train_batches, train_dataset
from stn_jax.models import make_model
from stn_jax.training.checkpoint import CheckpointStore, check_disk, needed_bytes, with_sharding
from stn_jax.training.devices import make_shardings
from stn_jax.training.filmstrip import Filmstrip
from stn_jax.training.guards import CollapseWatch
from stn_jax.training.interrupts import StopSignal
from stn_jax.training.progress import Progress
from stn_jax.training.reporter import Reporter
from stn_jax.training.state import TrainState, init_state, make_optimizer
from stn_jax.training.step import make_eval_step, make_train_step
from stn_jax.training.window import Window
from stn_jax.training.workdir import (
    Run,
    current_revision,
    current_versions,
    locked,
    start_or_resume,
    write_atomically,
)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a call of `train` ended.

    Attributes:
      step: batches trained on, over all calls.
      finished: False when it was asked to stop before the end.
      workdir: where everything is.
    """

    step: int
    finished: bool
    workdir: Path


def train(config: Config, workdir: str | Path) -> Outcome:
    """Trains a model, or goes on with the run in `workdir`.

    SIGTERM and Ctrl-C finish the step, save and return; calling again goes on from there, and the
    result is the same as without the interruption.

    Args:
      config: the experiment.
      workdir: the run's folder; made if absent.

    Returns:
      The last step, and whether the run is finished.

    Raises:
      ConfigError, DataError, WorkdirError, CheckpointError: what is wrong and what to do.
      NonFiniteError: the loss or gradient is not finite; the last checkpoint is from before.
      Interrupted: asked to stop while there was nothing to save yet.
    """
    workdir = Path(workdir)
    console = Console(soft_wrap=True, highlight=False)
    with locked(workdir), StopSignal() as stop:
        data = resolve_source(config.data)
        console.print(_source_line(data), markup=False)
        dataset = prepare(data)
        run = _describe(dataclasses.replace(config, data=data), dataset)
        changes = start_or_resume(workdir, run)
        write_atomically(
            workdir / "import_report.json", json.dumps(dataset.report, indent=2) + "\n"
        )
        trainer = Trainer(run, dataset, workdir, console)
        for change in changes:
            console.print(f"note: {change}", markup=False)
        with stop.deferred():
            return trainer.run(stop)


class Trainer:
    """One run in memory: the state, the compiled functions, and where results go."""

    def __init__(self, run: Run, dataset: PhotoDataset, workdir: Path, console: Console):
        config = run.config
        self._config = config.train
        self._dataset = dataset
        self._workdir = workdir
        self._console = console
        self._batch_sharding, self._state_sharding = make_shardings(config.train.batch_size)
        self._order = train_dataset(
            dataset.splits["train"],
            batch_size=config.train.batch_size,
            seed=config.train.seed,
            balance=config.data.balance == "sample",
        )
        model = make_model(
            config.model,
            num_classes=len(run.classes),
            mean_color=run.mean_color,
            precision=config.train.precision,
        )
        optimizer = make_optimizer(config.train)
        self._train_step = make_train_step(model, optimizer, config)
        self._eval_step = make_eval_step(model)
        self._look_step = jax.jit(
            lambda variables, photos: model.apply(variables, photos, train=False)[1:]
        )

        def first_state() -> TrainState:
            return init_state(
                model,
                optimizer,
                photo_size=config.data.photo_size,
                num_channels=len(run.mean_color),
                seed=config.train.seed,
            )

        self._open_checkpoints(jax.eval_shape(first_state))
        self._restore_or(first_state)
        self._filmstrip = Filmstrip(
            workdir / "figures", dataset.splits["val"], transform=model.transformer.family
        )
        self._collapse = CollapseWatch()

    def run(self, stop: StopSignal) -> Outcome:
        """Trains until the last step, early stopping, or a request to stop."""
        config, step = self._config, int(self.state.step)
        self._console.print(self._introduction(step), markup=False)
        finished = step >= config.steps or self._out_of_patience()
        window = Window(self._dataset.splits["train"], batch_size=config.batch_size)
        batches = self._batches(step)
        with Reporter(
            self._workdir, steps=config.steps, start=step, console=self._console
        ) as reporter:
            if step == 0:
                self._look(step)
            while not (finished or stop.requested):
                with window.waiting():
                    batch = next(batches)
                self.state, metrics = self._train_step(self.state, batch)
                step += 1
                window.add(step, batch["index"], metrics)
                reporter.advance(step)
                finished = step == config.steps
                leaving = finished or stop.requested

                def due(every: int, now: bool = leaving, step: int = step) -> bool:
                    return now or step % every == 0

                look = due(config.figure_every, finished)
                validate = due(config.eval_every, finished)
                save = due(config.checkpoint_every)
                if look or validate or save or due(config.log_every):
                    # Every step is checked here before anything of it is shown or saved.
                    self._log(step, window.close(), reporter)
                if look:
                    self._look(step)
                if validate:
                    self._validate(step, reporter)
                    finished = finished or self._out_of_patience()
                if save or finished:
                    self._checkpoints.save(step, self.state, dataclasses.asdict(self._progress))
        self._checkpoints.close()
        self._best.close()
        return Outcome(step=step, finished=finished, workdir=self._workdir)

    def _open_checkpoints(self, like: TrainState) -> None:
        keep = self._config.keep_checkpoints
        # Orbax deletes an old checkpoint only after the new one is whole.
        most = (keep + 1) * needed_bytes(like) + 2 * needed_bytes(like.variables)
        check_disk(self._workdir, needed=most)
        self._checkpoints = CheckpointStore(self._workdir / "checkpoints", keep=keep)
        self._best = CheckpointStore(self._workdir / "best", keep=1)
        self._weights = sum(leaf.size for leaf in jax.tree.leaves(like.params))

    def _restore_or(self, first_state) -> None:
        like = with_sharding(jax.eval_shape(first_state), self._state_sharding)
        restored = self._checkpoints.restore(like)
        if restored is None:
            self.state = jax.jit(first_state, out_shardings=self._state_sharding)()
            self._progress = Progress()
        else:
            _, self.state, notes = restored
            self._progress = Progress(**notes)

    def _batches(self, start: int) -> Iterator[dict[str, jax.Array]]:
        return to_devices(train_batches(self._order, start=start), self._batch_sharding)

    def _log(self, step: int, values: dict[str, float], reporter: Reporter) -> None:
        if warning := self._collapse.check(step, values):
            self._console.print(f"warning: {warning}", markup=False)
        reporter.log(step, {f"train/{name}": value for name, value in values.items()})

    def _validate(self, step: int, reporter: Reporter) -> None:
        values = self._evaluate("val")
        reporter.log(step, {f"val/{name}": value for name, value in values.items()})
        if self._progress.record(step, values["loss"], min_change=self._config.min_change):
            self._best.save(step, self.state.variables, {"val_loss": values["loss"]})

    def _evaluate(self, split: str) -> dict[str, float]:
        """Means over every photo of a split, each counted once."""
        batches = eval_batches(self._dataset.splits[split], batch_size=self._config.batch_size)
        sums = [
            self._eval_step(self.state.variables, batch)
            for batch in to_devices(batches, self._batch_sharding)
        ]
        totals = {name: float(sum(float(s[name]) for s in sums)) for name in sums[0]}
        count = totals.pop("count")
        return {name: total / count for name, total in totals.items()}

    def _look(self, step: int) -> None:
        variables: PyTree = self.state.variables

        def look(photos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            theta, crops = self._look_step(variables, photos)
            return np.asarray(theta), np.asarray(crops)

        self._filmstrip.add(step, look)
        self._filmstrip.draw()

    def _out_of_patience(self) -> bool:
        patience, progress = self._config.patience, self._progress
        if not patience or progress.fruitless < patience:
            return False
        self._console.print(
            f"early stop: no better validation loss in {progress.fruitless} evaluations; "
            f"the best is from step {progress.best_step}"
        )
        return True

    def _introduction(self, step: int) -> str:
        counts = ", ".join(f"{len(split)} {name}" for name, split in self._dataset.splits.items())
        device = jax.devices()[0]
        begin = f"resuming at step {step}" if step else "starting"
        return (
            f"{self._dataset.name}: {counts} photos of {' '.join(self._dataset.classes)}\n"
            f"{self._weights:,} weights on {jax.device_count()} x {device.device_kind}; "
            f"{begin} of {self._config.steps} steps in {self._workdir}"
        )


def _source_line(data: DataConfig) -> str:
    if data.source == "synthetic":
        return (
            f"SYNTHETIC photos: no folder was named and {data.default_root} is absent. What is "
            "trained on generated photos says nothing about skin. Your own: --data.root FOLDER"
        )
    return f"photos from {data.root}"


def _describe(config: Config, dataset: PhotoDataset) -> Run:
    return Run(
        config=config,
        classes=dataset.classes,
        mean_color=dataset.mean_color,
        data_name=dataset.name,
        data_fingerprint=dataset.fingerprint,
        versions=current_versions(),
        git_revision=current_revision(),
    )
