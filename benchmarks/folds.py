"""Does the zoom help on real photos? Configurations against each other, every photo a test photo.

The photos are divided into five tests. For each, every configuration is trained on the rest and
evaluated, as any user would, by `stn_jax.train` and `stn_jax.evaluate`: the paper's with the
weights of the least loss on validation photos (it names early stopping), the others with their last
ones. In the end each photo has been in the test of one run of each configuration, so counts are
pooled over the folds. An AUROC compares scores of one model: it is given by fold, with mean and
spread; the interval of the mean is from a bootstrap of the test photos. Every configuration is
compared with the first on the same photos: McNemar's test of which photos are right, and an
interval of the difference in AUROC, which does not depend on how a configuration weighs the
classes. No interval covers what another training seed would change.

Each run keeps its workdir: one that is done is not done again, one that was stopped goes on.

    python -m benchmarks.folds --root ISIC2016 --output benchmarks/results/folds.json

The same with `--leave-out benchmarks/isic2016_stickers.txt` also counts without the 60 photos of
ISIC 2016 on which a coloured sticker lies beside the lesion, all of them benign, so that a network
can tell them by that alone.

Two start from weights that a run of configs/lesions.py on generated lesions leaves, which is done
first, once for all folds: no photo of a test is behind it.

The 35 runs take about two and a half hours on one CPU core: compiling and evaluating alone half a
minute a run. The paper's steps were chosen by the validation loss of the first fold alone, at
126x189: the least came after 250 (of 340 then done).
"""

import dataclasses
import functools
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import tyro

import stn_jax.cli
from benchmarks.change import change
from benchmarks.pooled import Tested, leave_out, print_table, summarise
from benchmarks.runs import train_and_evaluate, write
from stn_jax.config import Config, load, read_file
from stn_jax.data.errors import DataError, printable
from stn_jax.evaluation.table import read_table

Name = Literal[
    "isic2016",
    "paper",
    "no zoom",
    "centre",
    "glimpses",
    "from generated lesions",
    "from generated lesions, no zoom",
]
CONFIGS = Path(__file__).parent.parent / "configs"


@dataclasses.dataclass(frozen=True)
class Options:
    """Configurations against each other on real photos, every photo a test photo."""

    root: str
    """Folder of photos of two classes."""
    configurations: tuple[Name, ...] = get_args(Name)
    """What to train; the others are compared with the first."""
    folds: int = 5
    """Tests that the photos are divided into."""
    photo_size: tuple[int, int] = (144, 192)
    """Height and width of the photos."""
    crop_size: tuple[int, int] = (48, 64)
    """Height and width of the crops."""
    steps: int = 2000
    """Batches that every network learns from but the paper's."""
    pretrained_steps: int = 1000
    """Batches that those learn from which start from weights for generated lesions."""
    lesions_steps: int = 5000
    """Batches of generated lesions, before."""
    paper_steps: int = 600
    """Batches that the paper's learns from."""
    eval_every: int = 50
    """Steps between the paper's looks at the validation photos; the others look at the end."""
    seed: int = 0
    """Seed of all trainings; each wants a workdir of its own. The photos are divided alike."""
    workdir: Path = Path("runs/folds")
    """Where the runs go, one folder each."""
    leave_out: Path | None = None
    """File of photos' names relative to the root, one a line: results are also given without them.
    All networks learn from them nevertheless."""
    output: Path | None = None
    """File for the results, as JSON."""


def paper(options: Options) -> Config:
    """The paper's network and settings; as many validation photos as the others have."""
    config = change(load(CONFIGS / "derm.py"), data={"val_size": 0.2})
    return _sized(config, options.paper_steps, options.eval_every, options)


def isic2016(options: Options) -> Config:
    """What a few hundred photos need."""
    return _sized(load(CONFIGS / "isic2016.py"), options.steps, options.steps, options)


def no_zoom(options: Options) -> Config:
    """The same network on the whole photo, shrunk."""
    return change(isic2016(options), model={"transform": "identity"})


def centre(options: Options) -> Config:
    """The same network on the middle of the photo, at full resolution."""
    return change(isic2016(options), model={"transform": "centre"})


def glimpses(options: Options) -> Config:
    """The same network behind the zoom of configs/demo.py, with two glimpses."""
    demo = load(CONFIGS / "demo.py")
    names = ("head", "localization_channels", "scale", "scale_bounds")
    return change(
        isic2016(options),
        model={name: getattr(demo.model, name) for name in names},
        train={"glimpses": 2, "localization_rate": demo.train.localization_rate},
    )


def from_lesions(options: Options, transform: str) -> Config:
    """The same network from the weights that `lesions` learned with this transform."""
    workdir = str(lesions_workdir(options, transform))
    config = read_file(CONFIGS / "isic2016.py")(init_from=workdir)
    config = _sized(config, options.pretrained_steps, options.pretrained_steps, options)
    return change(config, model={"transform": transform})


def lesions(options: Options, transform: str) -> Config:
    """What the weights come from that `from_lesions` starts from: generated lesions."""
    return change(
        load(CONFIGS / "lesions.py"),
        data={"photo_size": options.photo_size},
        model={"crop_size": options.crop_size, "transform": transform},
        train={"steps": options.lesions_steps, "seed": options.seed},
    )


def lesions_workdir(options: Options, transform: str) -> Path:
    """Where the run of `lesions` lies; all folds start from one."""
    return options.workdir / f"lesions-{transform}"


BEFORE: Mapping[Name, str] = {
    "from generated lesions": "attention",
    "from generated lesions, no zoom": "identity",
}
"""The transforms, also of the `lesions` before, of the configurations that start from these."""
CONFIGURATIONS: dict[Name, Callable[[Options], Config]] = {
    "isic2016": isic2016,
    "paper": paper,
    "no zoom": no_zoom,
    "centre": centre,
    "glimpses": glimpses,
} | {
    name: functools.partial(from_lesions, transform=transform) for name, transform in BEFORE.items()
}


def _sized(config: Config, steps: int, every: int, options: Options) -> Config:
    return change(
        config,
        data={"root": options.root, "photo_size": options.photo_size, "folds": options.folds},
        model={"crop_size": options.crop_size},
        train={
            "steps": steps,
            "eval_every": every,
            "checkpoint_every": every,
            "seed": options.seed,
        },
    )


def run(name: str, config: Config, workdir: Path) -> Tested:
    """Trains and evaluates one run, unless that is done.

    Raises:
      SystemExit: it was asked to stop before the end.
    """
    seconds = train_and_evaluate(config, workdir)
    return Tested(
        configuration=name,
        fold=config.data.fold,
        table=read_table(workdir / "evaluation" / "predictions.csv"),
        metrics=json.loads((workdir / "evaluation" / "metrics.json").read_text()),
        cpu_seconds=seconds,
    )


def read_names(file: Path, root: Path) -> list[str]:
    """Reads the names of photos, one a line, relative to `root`.

    Raises:
      DataError: when there is no such photo; after the last training would be late to say so.
    """
    names = file.read_text().splitlines()
    for name in names:
        if not (root / name).is_file():
            raise DataError(f"{file} names {printable(name)}, which is no photo of {root}")
    return names


def main() -> int:
    """Trains, evaluates and compares, writing what is known after every run."""
    options = tyro.cli(Options)
    left_out = read_names(options.leave_out, Path(options.root)) if options.leave_out else []
    for transform in (BEFORE[name] for name in options.configurations if name in BEFORE):
        train_and_evaluate(lesions(options, transform), lesions_workdir(options, transform))
    runs: list[Tested] = []
    for fold in range(options.folds):
        for name in options.configurations:
            config = change(CONFIGURATIONS[name](options), data={"fold": fold})
            workdir = options.workdir / f"{name}-{fold}".replace(",", "").replace(" ", "-")
            runs.append(run(name, config, workdir))
            if options.output:
                write(options.output, options=_described(options), results=summarise(runs))
    found = {"results": summarise(runs)}
    print_table(found["results"])
    if left_out:
        found |= {"left_out": left_out, "results_without": summarise(leave_out(runs, left_out))}
        print(f"without the {len(left_out)} photos of {options.leave_out}:")
        print_table(found["results_without"])
        if options.output:
            write(options.output, options=_described(options), **found)
    return 0


def _described(options: Options) -> dict[str, Any]:
    names = ("folds", "photo_size", "crop_size", "steps", "pretrained_steps", "lesions_steps")
    names += ("paper_steps", "eval_every", "seed")
    return {name: getattr(options, name) for name in names}


if __name__ == "__main__":
    sys.exit(stn_jax.cli.run(main, resumes=True))
