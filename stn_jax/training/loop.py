"""A run from its first line to its last: prepare, resume, step, validate, save."""

import contextlib
import dataclasses
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from stn_jax.config import Config, DataConfig
from stn_jax.data.builder import PhotoDataset, prepare, resolve_source
from stn_jax.data.pipeline import eval_batches, to_devices, train_batches, train_dataset
from stn_jax.models import STNClassifier, make_model
from stn_jax.training.checkpoint import CheckpointStore, check_disk, needed_bytes, with_sharding
from stn_jax.training.devices import any_process, is_main, make_shardings, wait_for_all
from stn_jax.training.errors import CheckpointError, CollapseError
from stn_jax.training.filmstrip import Filmstrip
from stn_jax.training.guards import CollapseWatch
from stn_jax.training.interrupts import StopSignal
from stn_jax.training.memory import describe_memory
from stn_jax.training.progress import Progress
from stn_jax.training.reporter import Reporter
from stn_jax.training.resident import keep_resident
from stn_jax.training.state import TrainState, init_state, make_optimizer
from stn_jax.training.step import (
    TrainStep,
    compiler_options,
    equal_weights,
    make_eval_step,
    make_train_step,
)
from stn_jax.training.transfer import start_from
from stn_jax.training.window import Window
from stn_jax.training.workdir import (
    Run,
    current_revision,
    current_versions,
    drop_metrics_after,
    locked,
    start_or_resume,
    write_atomically,
)

Batches = Iterator[dict[str, jax.Array]]

_STOPPING = (
    "stopping after this step, which may have to be compiled first; a second signal ends the "
    "process at once, without a checkpoint"
)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a call of `train` ended.

    Attributes:
      step: batches trained on and saved, over all calls.
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
      CollapseError: the transformer has collapsed, and `stop_on_collapse` is set.
      Interrupted: asked to stop while there was nothing to save yet.
    """
    workdir = Path(workdir)
    with contextlib.ExitStack() as stack:
        if is_main():
            stack.enter_context(locked(workdir))
        stop = stack.enter_context(StopSignal())
        reporter = stack.enter_context(Reporter(workdir, steps=config.train.steps))
        resolved = dataclasses.replace(config, data=resolve_source(config.data))
        reporter.say(_source_line(config.data, resolved.data))
        dataset = prepare(resolved.data)
        run = _describe(resolved, dataset)
        if is_main():
            for change in start_or_resume(workdir, run):
                reporter.say(f"note: {change}")
            report = json.dumps(dataset.report, indent=2) + "\n"
            write_atomically(workdir / "import_report.json", report)
        wait_for_all("workdir is ready")
        trainer = Trainer(run, dataset, workdir, reporter)
        # Until the last checkpoint is written.
        stack.enter_context(stop.deferred(_STOPPING))
        return stack.enter_context(trainer).run(stop)


class Trainer:
    """One run in memory: the state, the compiled functions, and where results go.

    As a context, it finishes writing its checkpoints at the end, however that comes.
    """

    def __init__(self, run: Run, dataset: PhotoDataset, workdir: Path, reporter: Reporter):
        config = run.config
        self._config = config.train
        self._data = config.data
        self._dataset = dataset
        self._workdir = workdir
        self._reporter = reporter
        self._batch_sharding, self._state_sharding = make_shardings(config.train)
        self._shard = (jax.process_index(), jax.process_count())
        model, optimizer = _make_model(run), make_optimizer(config.train)
        balanced = equal_weights(dataset.splits["val"].labels, len(run.classes))
        self._eval_step = make_eval_step(
            model,
            class_weights=balanced if config.data.balance == "sample" else None,
            deterministic=config.train.deterministic,
        )
        self._look_step = self._jit(
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

        like = jax.eval_shape(first_state)
        self._order_photos(beside=needed_bytes(like))
        self._train_step = make_train_step(
            model, optimizer, config, look_up=getattr(self._resident, "look_up", None)
        )
        self._collapse = CollapseWatch(patience=config.train.collapse_steps)
        self._open_checkpoints(like)
        self._restore_or(first_state)
        self._filmstrip = Filmstrip(
            workdir / "figures",
            dataset.splits["val"],
            transform=model.transformer.family,
            synthetic=run.synthetic,
        )
        if is_main():
            self._filmstrip.drop_after(int(self.state.step))

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._best.close()
        finally:
            self._checkpoints.close()

    def run(self, stop: StopSignal) -> Outcome:
        """Trains until the last step, early stopping, or a request to stop."""
        config, step = self._config, int(self.state.step)
        self._reporter.say(self._introduction(step))
        if self._owes_evaluation(step):
            self._validate(step, stop)
        finished = self._is_finished(step)
        if not finished:
            batches = self._batches(step)
            first = next(batches)
            train_step = self._compile(first)
            batches = itertools.chain([first], batches)
            window = Window(self._dataset.splits["train"], batch_size=config.batch_size)
            self._reporter.start(step)
        stopping, kept = any_process(stop.requested), step
        if step == 0 and not stopping:
            self._look(step)
        while not (finished or stopping):
            if _due(step + 1, config.checkpoint_every):
                # So that a kill never costs more than the save that was to follow.
                self._checkpoints.wait()
            batch = window.take(batches)
            self.state, metrics = train_step(self.state, batch)
            step += 1
            window.add(step, batch["index"], metrics)
            self._reporter.advance(step)
            last, stopping = step == config.steps, any_process(stop.requested)
            look = last or _due(step, config.figure_every)
            validate = last or _due(step, config.eval_every)
            save = stopping or _due(step, config.checkpoint_every)
            if look or validate or save or _due(step, config.log_every):
                # Every step is checked here before anything of it is shown or saved.
                self._log(step, window)
            if look:
                self._look(step)
            if validate:
                self._validate(step, stop)
                finished = self._is_finished(step)
                stopping = any_process(stop.requested)
            if save or finished or stopping:
                kept = self._save(step, finished=finished)
        if kept < step:
            last = f"the last checkpoint is {kept}'s" if kept else "there is no checkpoint yet"
            self._reporter.say(f"step {step} looks collapsed and is not saved; {last}")
        return Outcome(step=kept, finished=finished, workdir=self._workdir)

    def _jit(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Compiles what gives every device the same."""
        return jax.jit(
            function,
            out_shardings=self._state_sharding,
            compiler_options=compiler_options(deterministic=self._config.deterministic),
        )

    def _order_photos(self, *, beside: int) -> None:
        """Says which photos each step learns from; `beside` is what devices hold besides them."""
        photos = self._dataset.splits["train"]
        self._resident = keep_resident(photos, self._data.cache, beside=beside)
        self._order = train_dataset(
            photos if self._resident is None else self._resident,
            batch_size=self._config.batch_size,
            seed=self._config.seed,
            balance=self._data.balance == "sample",
            shard=self._shard,
        )

    def _open_checkpoints(self, like: TrainState) -> None:
        keep = self._config.keep_checkpoints
        # Orbax deletes an old checkpoint only after the new one is whole.
        most = (keep + 1) * needed_bytes(like) + 2 * needed_bytes(like.variables)
        present = sum(
            path.stat().st_size
            for name in ("checkpoints", "best")
            for path in (self._workdir / name).rglob("*")
            if path.is_file()
        )
        check_disk(self._workdir, needed=max(most - present, 0))
        self._checkpoints = CheckpointStore(self._workdir / "checkpoints", keep=keep)
        self._best = CheckpointStore(self._workdir / "best", keep=1)
        self._weights = sum(leaf.size for leaf in jax.tree.leaves(like.params))

    def _restore(self, like: TrainState) -> tuple[int, TrainState, dict[str, Any]] | None:
        """Reads the newest sound checkpoint; where all are damaged, says so once."""
        newest = self._checkpoints.latest
        restored = self._checkpoints.restore(like)
        if restored is None and newest is not None:
            raise CheckpointError(
                f"every checkpoint of {self._workdir}, up to step {newest}, is damaged; they lie "
                "in its folder damaged/ now. The same command trains from the start, and replaces "
                f"the best weights, if there are any: copy {self._workdir / 'best'} to keep them"
            )
        return restored

    def _restore_or(self, first_state) -> None:
        like = with_sharding(jax.eval_shape(first_state), self._state_sharding)
        restored = self._restore(like)
        if restored is not None:
            step, self.state, notes = restored
            self._collapse.varied = notes.pop("varied", False)
            self._progress = Progress(**notes)
            best = self._best.newest_notes(after=self._progress.evaluated)
            if best is not None and best[0] <= step:
                self._progress.catch_up(best[0], best[1]["val_loss"])
        else:
            self.state = self._jit(first_state)()
            self._progress = Progress()
            if self._config.init_from is not None:
                self.state, sentence = start_from(
                    self.state,
                    self._config.init_from,
                    classes=self._dataset.classes,
                    data=self._data,
                )
                self._reporter.say(sentence)
        step = int(self.state.step)
        self._reporter.drop_after(step)
        if is_main():
            drop_metrics_after(self._workdir, step, evaluated=self._progress.evaluated)

    def _batches(self, start: int) -> Batches:
        batches = to_devices(train_batches(self._order, start=start), self._batch_sharding)
        if self._resident is None:
            return batches
        self._reporter.say(f"loading {self._resident.nbytes / 1e9:.3g} GB of photos to each device")
        return self._resident.attach(batches, self._state_sharding)

    def _compile(self, batch: Mapping[str, jax.Array]) -> TrainStep:
        self._reporter.say("compiling ...")
        before = time.monotonic()
        compiled = self._train_step.lower(self.state, batch).compile()
        memory = describe_memory(
            compiled,
            batch_size=self._config.batch_size // jax.device_count(),
            state=self.state,
            resident=getattr(self._resident, "nbytes", 0),
        )
        self._reporter.say(f"compiled in {time.monotonic() - before:.0f} s; {memory}")
        return compiled

    def _owes_evaluation(self, step: int) -> bool:
        """Whether an evaluation was due at `step` and was interrupted."""
        due = step >= self._config.steps or _due(step, self._config.eval_every)
        return step > 0 and due and self._progress.evaluated < step

    def _is_finished(self, step: int) -> bool:
        """Whether the last step, evaluated, is done, or patience is over."""
        if step >= self._config.steps:
            return self._progress.evaluated == step
        patience, progress = self._config.patience, self._progress
        if not patience or progress.fruitless < patience:
            return False
        self._reporter.say(
            f"early stop: no better validation loss in {progress.fruitless} evaluations; "
            f"the best is from step {progress.best_step}"
        )
        return True

    def _log(self, step: int, window: Window) -> None:
        self._best.check()
        self._checkpoints.check()
        means = window.close(self._watch)
        self._reporter.log(step, {f"train/{name}": value for name, value in means.items()})

    def _watch(self, step: int, metrics: Mapping[str, Any]) -> None:
        warning = self._collapse.check(step, metrics)
        if warning and self._config.stop_on_collapse:
            self._checkpoints.wait()
            healthy = self._checkpoints.latest
            raise CollapseError(
                f"{warning}. There is no checkpoint yet: change the settings and start again"
                if healthy is None
                else f"{warning}. The last checkpoint, of step {healthy}, is healthy"
            )
        if warning:
            self._reporter.say(f"WARNING: {warning}")

    def _validate(self, step: int, stop: StopSignal) -> None:
        """Evaluates the whole validation split, unless asked to stop meanwhile."""
        values = self._evaluate(stop)
        if values is None:
            return
        self._reporter.log(step, {f"val/{name}": value for name, value in values.items()})
        if self._progress.record(step, values["loss"], min_change=self._config.min_change):
            self._best.save(step, self.state.variables, {"val_loss": values["loss"]})

    def _evaluate(self, stop: StopSignal) -> dict[str, float] | None:
        """Means over every validation photo, each counted once; None when asked to stop.

        Where training draws the classes equally often, they count equally here, too: the loss that
        chooses the best weights is then the one that was trained for.
        """
        totals: dict[str, float] = {}
        batches = eval_batches(
            self._dataset.splits["val"], batch_size=self._config.batch_size, shard=self._shard
        )
        for batch in to_devices(batches, self._batch_sharding):
            sums = jax.device_get(self._eval_step(self.state.variables, batch))
            totals = {name: totals.get(name, 0.0) + float(value) for name, value in sums.items()}
            if any_process(stop.requested):
                return None
        weight = totals.pop("weight")
        return {name: total / weight for name, total in totals.items()}

    def _save(self, step: int, *, finished: bool) -> int:
        """Saves, unless the step looks collapsed: the one before is then the one to go back to.

        Also when asked to stop, so that no checkpoint calls itself healthy that is not, and the
        collapse is found after as many steps as without the interruption.

        Returns:
          The step that the same command would go on from.
        """
        if self._config.stop_on_collapse and self._collapse.failing and not finished:
            self._checkpoints.wait()
            return self._checkpoints.latest or 0
        # The checkpoint says which evaluation was the best: a run that goes on from it never saves
        # those weights again.
        self._best.wait()
        notes = {**dataclasses.asdict(self._progress), "varied": self._collapse.varied}
        self._checkpoints.save(step, self.state, notes)
        self._reporter.saved(step)
        return step

    def _look(self, step: int) -> None:
        theta, crops = jax.device_get(self._look_step(self.state.variables, self._filmstrip.photos))
        if is_main():
            self._filmstrip.add(step, theta, crops)
            self._filmstrip.draw()
            self._reporter.show_crops(step, theta, crops)

    def _introduction(self, step: int) -> str:
        counts = ", ".join(f"{len(split)} {name}" for name, split in self._dataset.splits.items())
        device = jax.devices()[0]
        steps = self._config.steps
        begin = (
            f"resuming at step {step} of {steps}" if step else f"starting a run of {steps} steps"
        )
        return (
            f"{self._dataset.name}: {counts} photos of {', '.join(self._dataset.classes)}\n"
            f"{self._weights:,} weights on {jax.device_count()} x {device.device_kind}; "
            f"{begin} in {self._workdir}"
        )


def _make_model(run: Run) -> STNClassifier:
    return make_model(
        run.config.model,
        num_classes=len(run.classes),
        mean_color=run.mean_color,
        precision=run.config.train.precision,
        remat=run.config.train.remat,
    )


def _due(step: int, every: int) -> bool:
    return step % every == 0


def _source_line(asked: DataConfig, data: DataConfig) -> str:
    if data.source != "synthetic":
        return f"photos from {data.root}"
    why = "" if asked.source == "synthetic" else f" (there is no folder {data.default_root})"
    return (
        f"SYNTHETIC photos{why}: what is trained on generated photos says nothing about skin. "
        "Your own: --data.root FOLDER"
    )


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
