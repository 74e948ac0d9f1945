"""An evaluation from its first line to its last: predict, decide, measure, draw, report.

Everything below `evaluation/` follows from two tables, `predictions.csv` of the split and
`predictions_val.csv` of the validation photos that the temperature and threshold were chosen on.
`evaluation/` itself is the test's; another split has a folder of its own in it, such as
`evaluation/val/`, so that a look at it replaces nothing.
"""

import dataclasses
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rich.progress
from rich.console import Console

from stn_jax.config import DataConfig
from stn_jax.data.builder import PhotoDataset, prepare
from stn_jax.data.errors import DataError
from stn_jax.evaluation import figures
from stn_jax.evaluation.comparison import compare_with, read_other
from stn_jax.evaluation.console import print_summary
from stn_jax.evaluation.decision import decide
from stn_jax.evaluation.facts import facts_of, known_facts
from stn_jax.evaluation.gallery import make_galleries
from stn_jax.evaluation.letters import undrawable
from stn_jax.evaluation.predictor import Predictor, load_predictor
from stn_jax.evaluation.report import FIGURES, write_report
from stn_jax.evaluation.summary import summarise
from stn_jax.evaluation.table import PredictionTable, TableError, read_table, write_table
from stn_jax.evaluation.tabulate import tabulate
from stn_jax.evaluation.written import METRICS, PREDICTIONS, VALIDATION, folder_of
from stn_jax.training.workdir import Run, read_metrics, write_atomically

OTHER_SPLITS = ("val", "train")


def evaluate(
    workdir: str | Path,
    *,
    split: str = "test",
    target_error: float = 0.1,
    certainty: float = 0.95,
    masks: str | Path | None = None,
    compare: Sequence[str | Path] = (),
    data_root: str | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Evaluates the best weights of a run on every photo of a split.

    Writes `evaluation/` in the workdir, or `evaluation/SPLIT/` for another split than the test:
    predictions.csv, metrics.json, report.html, figures.
    Temperature and threshold come from the validation photos alone.

    Args:
      workdir: the run's folder.
      split: `test`, or `val` or `train` for a look at what the model was chosen on.
      target_error: share of wrong answers that the threshold may let through.
      certainty: how sure that promise must be.
      masks: folder of lesion masks named after the photos, to compare the areas of interest with.
      compare: workdirs of other evaluated runs on the same photos.
      data_root: where the photos are now, if they have moved since training.
      console: where progress and the summary go; standard output by default.

    Returns:
      What metrics.json holds.

    Raises:
      WorkdirError: no run, no checkpoint, or nothing to compare with.
      DataError: the photos are not there, or not those of the training.
      TableError: masks or tables that do not belong to these photos.
    """
    workdir, console = Path(workdir), console or _make_console()
    masks = None if masks is None else Path(masks)
    if masks is not None and not masks.is_dir():
        raise TableError(f"--masks {masks}: no such folder")
    predictor = load_predictor(workdir)
    dataset = _same_photos(predictor.run, data_root)
    others = [read_other(Path(other), predictor.run, split) for other in compare]
    console.print(
        f"{_kind(predictor.run)}: weights of step {predictor.step} on "
        f"{len(dataset.splits[split])} {split} photos",
        markup=False,
    )
    validation, table = _predict(predictor, dataset, split=split, masks=masks)
    folder = folder_of(workdir, split)
    folder.mkdir(parents=True, exist_ok=True)
    facts = facts_of(predictor, dataset)
    if others:
        facts["compared"] = [compare_with(table, *other) for other in others]
    metrics, table = _conclude(
        folder, table, validation, facts, split=split, wanted=(target_error, certainty)
    )
    synthetic = predictor.run.synthetic
    _draw(folder, table, metrics, curves=workdir / "metrics.jsonl")
    make_galleries(table, dataset.splits[split], predictor, folder / "figures", synthetic=synthetic)
    _tell(folder, metrics, workdir, console)
    console.print(f"figures: {folder / 'figures'}", markup=False)
    return metrics


def evaluate_predictions(
    file: str | Path,
    *,
    target_error: float = 0.1,
    certainty: float = 0.95,
    console: Console | None = None,
) -> dict[str, Any]:
    """Recomputes metrics, figures and report from a table of predictions, without a model.

    Temperature and threshold are chosen again where `predictions_val.csv` lies beside the table;
    otherwise its probabilities and answers are taken as they stand. What a table cannot say (the
    model, the data) is taken over from the metrics.json beside it, where there is one.

    Args:
      file: predictions.csv; results go beside it. Those of `predictions_val.csv` go into `val/`
        beside it, where they replace nothing of the test.
      target_error: share of wrong answers that the threshold may let through.
      certainty: how sure that promise must be.
      console: where the summary goes; standard output by default.

    Returns:
      What metrics.json holds.

    Raises:
      TableError: the file is no table of predictions, or would take the place of a model's.
    """
    file, console = Path(file), console or _make_console()
    table = read_table(file)
    beside = file.with_name(VALIDATION)
    validation = read_table(beside) if beside.is_file() else None
    if validation is not None and not len(validation):
        raise TableError(f"{beside}: no photo to choose a temperature on; remove the file")
    facts = known_facts(file)
    if facts["model"]["fingerprint"] is not None and file.name not in (PREDICTIONS, VALIDATION):
        raise TableError(
            f"{file} lies in the evaluation of a model, which its results would replace: move it "
            "into a folder of its own"
        )
    folder = file.parent
    if file.name == VALIDATION:
        facts = {name: fact for name, fact in facts.items() if name != "compared"}
        facts["split"], folder = "val", folder / "val"
        folder.mkdir(exist_ok=True)
    metrics, table = _conclude(
        folder, table, validation, facts, split=facts["split"], wanted=(target_error, certainty)
    )
    workdir = _workdir_of(folder)
    _draw(folder, table, metrics, curves=workdir / "metrics.jsonl")
    _tell(folder, metrics, workdir, console)
    return metrics


def _workdir_of(folder: Path) -> Path:
    """Where the run of an evaluation's folder lies."""
    # "." and ".." have neither their name nor their parent; a link stays where it lies.
    folder = Path(os.path.abspath(folder))
    return folder.parent.parent if folder.name in OTHER_SPLITS else folder.parent


def _make_console() -> Console:
    """Prints names as they are: neither broken, nor coloured, nor ":smile:" as a picture."""
    return Console(soft_wrap=True, highlight=False, emoji=False)


def _same_photos(run: Run, data_root: str | None) -> PhotoDataset:
    data: DataConfig = run.config.data
    if run.synthetic and data_root is not None:
        raise DataError(f"--data-root {data_root}: the run was trained on generated photos")
    if data_root == "":
        raise DataError("--data-root is empty: name a folder, or leave it out")
    if data_root is not None:
        data = dataclasses.replace(data, root=data_root)
    if data.root is not None and not Path(data.root).is_dir():
        raise DataError(
            f"{data.root}: the photos of the training are not there; name their folder with "
            "--data-root FOLDER"
        )
    dataset = prepare(data)
    if dataset.fingerprint != run.data_fingerprint:
        raise DataError(
            f"the photos in {data.root or dataset.name} are not those of the training: some were "
            "added, removed or changed, or another version of stn_jax prepares them otherwise. "
            "Bring them back, or train again"
        )
    return dataset


def _predict(
    predictor: Predictor, dataset: PhotoDataset, *, split: str, masks: Path | None
) -> tuple[PredictionTable, PredictionTable]:
    """Tables of the validation photos and of the split."""
    parts = {"val": dataset.splits["val"], split: dataset.splits[split]}
    with rich.progress.Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("predicting", total=sum(map(len, parts.values())))
        tables = {
            name: tabulate(
                predictor,
                photos,
                baselines=name == split,
                masks=masks if name == split else None,
                on_photos=lambda count: bar.advance(task, count),
            )
            for name, photos in parts.items()
        }
    return tables["val"], tables[split]


def _conclude(
    folder: Path,
    table: PredictionTable,
    validation: PredictionTable | None,
    facts: Mapping[str, Any],
    *,
    split: str,
    wanted: tuple[float, float],
) -> tuple[dict[str, Any], PredictionTable]:
    """Decides on validation photos, applies that, and writes the tables and metrics.json."""
    decision = None
    if validation is not None:
        target_error, certainty = wanted
        decision = decide(validation, target_error=target_error, certainty=certainty)
        table, validation = decision.apply(table), decision.apply(validation)
        write_table(validation, folder / VALIDATION)
    write_table(table, folder / PREDICTIONS)
    size = facts["photo_size"]
    metrics = summarise(
        table,
        decision=decision,
        validation=validation,
        photo_size=None if size is None else tuple(size),
        split=split,
    )
    metrics = {**metrics, **facts}
    write_atomically(folder / METRICS.name, json.dumps(metrics, indent=2) + "\n")
    return metrics, table


def _draw(
    folder: Path, table: PredictionTable, metrics: Mapping[str, Any], *, curves: Path
) -> None:
    where, synthetic = folder / "figures", bool(metrics["synthetic"])
    for name, kind in itertools.product(FIGURES, ("png", "svg")):
        # What is not drawn anew is of an earlier evaluation.
        (where / f"{name}.{kind}").unlink(missing_ok=True)
    figures.make_figures(table, metrics, where, synthetic=synthetic)
    extra = {}
    if curves.is_file():
        extra["learning"] = figures.learning_curves(read_metrics(curves), metrics["model"]["step"])
    if metrics["photo_size"]:
        extra["where"] = figures.where_figure(table, tuple(metrics["photo_size"]))
    for name, figure in extra.items():
        if figure is not None:
            figures.finish(figure, synthetic=synthetic)
            figures.save(figure, where, name)


def _tell(folder: Path, metrics: Mapping[str, Any], workdir: Path, console: Console) -> None:
    """Writes the report, after all its pictures, and prints the summary."""
    report = write_report(folder, metrics, filmstrip=workdir / "figures" / "filmstrip.png")
    print_summary(metrics, console)
    if boxes := undrawable(metrics["classes"]):
        console.print(
            f"figures show boxes for {boxes}: install a font with these letters, such as "
            "Noto Sans CJK, and evaluate again",
            markup=False,
        )
    console.print(f"report: {report}", markup=False)


def _kind(run: Run) -> str:
    return "SYNTHETIC photos" if run.synthetic else run.data_name
