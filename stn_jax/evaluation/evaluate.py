"""An evaluation from its first line to its last: predict, decide, measure, draw, report.

Everything below `evaluation/` follows from two tables, `predictions.csv` of the split and
`predictions_val.csv` of the validation photos that the temperature and threshold were chosen on.
`evaluation/` itself is the test's; another split has a folder of its own in it, such as
`evaluation/val/`, so that a look at it replaces nothing.
"""

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import rich.progress
from rich.console import Console

from stn_jax.config import DataConfig
from stn_jax.data.builder import PhotoDataset, prepare
from stn_jax.data.errors import DataError
from stn_jax.evaluation import figures
from stn_jax.evaluation.console import print_summary
from stn_jax.evaluation.decision import decide
from stn_jax.evaluation.gallery import make_galleries
from stn_jax.evaluation.letters import undrawable
from stn_jax.evaluation.predictor import METRICS, OTHER_MODEL, Predictor, load_predictor
from stn_jax.evaluation.report import FIGURES, write_report
from stn_jax.evaluation.summary import paired, summarise
from stn_jax.evaluation.table import PredictionTable, TableError, read_table, write_table
from stn_jax.evaluation.tabulate import tabulate
from stn_jax.training.workdir import (
    Run,
    WorkdirError,
    command_for,
    read_metrics,
    read_run,
    write_atomically,
)

PREDICTIONS, VALIDATION = "predictions.csv", "predictions_val.csv"
OTHER_SPLITS = ("val", "train")
LEARNED_ZOOM = "the learned zoom"
_FIXED_CROPS = {
    "identity": "the whole photo, shrunk (no zoom)",
    "centre": "a fixed centre crop",
}
_OF_CLASSIFIER = (
    "crop_size",
    "channels",
    "dense",
    "dropout",
    "batch_norm",
    "global_pool",
    "global_statistics",
    "global_blocks",
)
"""Options of the model that make the network behind the crop."""
_AUDIT = ("refused", "dropped", "duplicates")
"""What an import counts besides the photos it takes."""
_LEAVE_PHOTOS_ALONE = ("root", "default_root", "cache", "cache_dir", "balance", "augment")
"""Options of the data that the photos of an evaluation do not depend on."""


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
    workdir, console = Path(workdir), console or Console(soft_wrap=True, highlight=False)
    predictor = load_predictor(workdir)
    dataset = _same_photos(predictor.run, data_root)
    others = [_read_other(Path(other), predictor.run, split) for other in compare]
    console.print(
        f"{_kind(predictor.run)}: weights of step {predictor.step} on "
        f"{len(dataset.splits[split])} {split} photos",
        markup=False,
    )
    validation, table = _predict(
        predictor, dataset, split=split, masks=None if masks is None else Path(masks)
    )
    folder = folder_of(workdir, split)
    folder.mkdir(parents=True, exist_ok=True)
    facts = _facts(predictor, dataset)
    if others:
        facts["compared"] = [_compared(table, *other) for other in others]
    metrics, table = _conclude(
        folder, table, validation, facts, split=split, wanted=(target_error, certainty)
    )
    synthetic = predictor.run.synthetic
    _draw(folder, table, metrics, curves=workdir / "metrics.jsonl")
    make_galleries(table, dataset.splits[split], predictor, folder / "figures", synthetic=synthetic)
    _tell(folder, metrics, workdir, console)
    console.print(f"figures: {folder / 'figures'}", markup=False)
    return metrics


def folder_of(workdir: Path, split: str) -> Path:
    """Where the evaluation of a split lies in a workdir."""
    folder = workdir / METRICS.parent
    return folder if split == "test" else folder / split


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
      TableError: the file is no table of predictions.
    """
    file, console = Path(file), console or Console(soft_wrap=True, highlight=False)
    table = read_table(file)
    beside = file.with_name(VALIDATION)
    validation = read_table(beside) if beside.is_file() else None
    if validation is not None and not len(validation):
        raise TableError(f"{beside}: no photo to choose a temperature on; remove the file")
    facts = _known_facts(file)
    folder = file.parent
    if file.name == VALIDATION:
        facts = {name: fact for name, fact in facts.items() if name != "compared"}
        facts["split"], folder = "val", folder / "val"
        folder.mkdir(exist_ok=True)
    metrics, table = _conclude(
        folder, table, validation, facts, split=facts["split"], wanted=(target_error, certainty)
    )
    workdir = folder.parent.parent if folder.name in OTHER_SPLITS else folder.parent
    _draw(folder, table, metrics, curves=workdir / "metrics.jsonl")
    _tell(folder, metrics, workdir, console)
    return metrics


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


def _facts(predictor: Predictor, dataset: PhotoDataset) -> dict[str, Any]:
    """What metrics.json says besides what follows from the predictions."""
    run = predictor.run
    weights = sum(leaf.size for leaf in jax.tree.leaves(predictor.variables["params"]))
    return {
        "source": run.data_name,
        "synthetic": run.synthetic,
        "crop": _FIXED_CROPS.get(run.config.model.transform, LEARNED_ZOOM),
        "photo_size": list(run.config.data.photo_size),
        "crop_size": list(run.config.model.crop_size),
        "model": {
            "fingerprint": predictor.fingerprint,
            "step": predictor.step,
            "by_validation": predictor.by_validation,
            "weights": weights,
            "learned_before": list(run.learned_before),
        },
        "data": {
            "fingerprint": run.data_fingerprint,
            "splits": dataset.report["splits"],
            "taken": dataset.report["taken"],
            **{name: len(dataset.report[name]) for name in _AUDIT},
        },
        "config": dataclasses.asdict(run.config),
        "versions": run.versions,
        "git_revision": run.git_revision,
    }


def _known_facts(file: Path) -> dict[str, Any]:
    """The same for a table alone: what an earlier evaluation wrote beside it, else nothing."""
    known = file.with_name(METRICS.name)
    unknown = {
        "split": "test",
        "source": file.name,
        "synthetic": False,
        "crop": LEARNED_ZOOM,
        "photo_size": None,
        "crop_size": None,
        "model": {"fingerprint": None, "step": None, "weights": None, "learned_before": []},
        "data": dict.fromkeys(("fingerprint", "splits", "taken", *_AUDIT)),
        "config": None,
        "versions": None,
        "git_revision": None,
        "unknown": "from a table of predictions alone: neither the model nor the data are known",
    }
    if not known.is_file():
        return unknown
    try:
        before = json.loads(known.read_text())
        facts = {name: before[name] for name in (*unknown, "compared") if name in before}
        # What an earlier version did not write.
        facts["model"] = unknown["model"] | facts["model"]
        return {"crop": LEARNED_ZOOM} | facts
    except (ValueError, KeyError) as error:
        raise TableError(
            f"{known} is damaged ({error!r}): remove it, or evaluate the workdir"
        ) from error


def _read_other(workdir: Path, ours: Run, split: str) -> tuple[str, PredictionTable]:
    """Name and predictions of a run to compare with."""
    run, folder = read_run(workdir), folder_of(workdir, split)
    file, metrics = folder / PREDICTIONS, folder / METRICS.name
    evaluate_it = command_for(workdir, "evaluate.py", "--split", split)
    if not may_have_same_photos(ours, run):
        raise WorkdirError(f"--compare {workdir}: it was trained and evaluated on other photos")
    # The metrics are written last: an evaluation that was stopped may have left predictions alone.
    if not (file.is_file() and metrics.is_file()):
        raise WorkdirError(
            f"--compare {workdir}: not evaluated on its {split} photos yet: {evaluate_it}"
        )
    try:
        evaluated = json.loads(metrics.read_text())["model"]["fingerprint"]
    except (ValueError, KeyError, TypeError) as error:
        raise WorkdirError(
            f"--compare {workdir}: {metrics} is damaged ({error!r}); evaluate again: {evaluate_it}"
        ) from error
    if evaluated != load_predictor(workdir).fingerprint:
        raise WorkdirError(
            f"--compare {workdir}: its evaluation is of {OTHER_MODEL} than now: {evaluate_it}"
        )
    return _name_of_other(workdir, ours, run), read_table(file)


def _name_of_other(workdir: Path, ours: Run, other: Run) -> str:
    """What the report calls another run: what differs, where its classifier is the same."""
    crop = _FIXED_CROPS.get(other.config.model.transform)
    classifiers = [
        [getattr(run.config.model, name) for name in _OF_CLASSIFIER] for run in (ours, other)
    ]
    if crop is None:
        return f"the run in {workdir}"
    same = classifiers[0] == classifiers[1]
    return f"the same network on {crop}" if same else f"the run in {workdir}, on {crop}"


def may_have_same_photos(run: Run, other: Run) -> bool:
    """Whether names of photos can mean the same photos in both runs.

    Photos of folders can be told apart where both runs prepared and divided them alike.
    """
    ours, theirs = run.config.data, other.config.data
    if run.synthetic or other.synthetic:
        return run.synthetic == other.synthetic and ours.synthetic == theirs.synthetic
    if "mnist" in (ours.source, theirs.source):
        return ours.source == theirs.source and ours.mnist == theirs.mnist
    alike = {name: getattr(ours, name) for name in _LEAVE_PHOTOS_ALONE}
    if dataclasses.replace(theirs, **alike) != ours:
        return True
    return run.data_fingerprint == other.data_fingerprint


def _compared(table: PredictionTable, name: str, other: PredictionTable) -> dict[str, Any]:
    if other.file != table.file or _names_of_labels(other) != _names_of_labels(table):
        raise TableError(f"--compare: {name} was evaluated on other photos")
    return {"name": name, **paired(table.correct, other.correct, table.group)}


def _names_of_labels(table: PredictionTable) -> list[str]:
    return [table.classes[label] for label in table.label]


def _kind(run: Run) -> str:
    return "SYNTHETIC photos" if run.synthetic else run.data_name
