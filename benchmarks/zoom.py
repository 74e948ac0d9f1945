"""Does the zoom find the lesion, with every seed? Recipes against each other, no seed left out.

A recipe is a way to train the same classifier: with glimpses (configs/demo.py takes two), with one
crop, with one that narrows, like the paper, or without any learned zoom. A scene is a set of photos
whose class shows only in a small place, at full resolution. A run succeeds when at least 95 % of
the test photos are classified rightly and the crop holds the lesion's centre in at least 90 %; a
crop that covers the whole photo always holds it, so the crop's scale and its overlap with the
lesion's box (IoU) are given, too.

Every run is trained and evaluated as any user would, by `stn_jax.train` and `stn_jax.evaluate`, and
keeps its workdir; one that is done is not done again.

    python -m benchmarks.zoom --scenes synthetic --seeds 10 --output benchmarks/results/zoom.json
"""

import argparse
import csv
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.change import change
from benchmarks.digit_canvases import make_canvases, read_boxes
from benchmarks.runs import train_and_evaluate, write
from stn_jax.config import (
    AugmentConfig,
    Config,
    ModelConfig,
    SyntheticConfig,
    ZoomScheduleConfig,
    load,
)
from stn_jax.evaluation.geometry import lesion_overlap, share_covered

BASE = change(load(Path(__file__).parent.parent / "configs" / "demo.py"), train={"glimpses": 4})
"""With twice as many glimpses as configs/demo.py: the rivals see as many crops as these."""
ACCURACY, INSIDE = 0.95, 0.9
UNTUNED_DATA_SEED = 1
"""The recipe was chosen on validation photos of data seed 0."""
FEW_PHOTOS = 200
"""Training photos of the scene that asks which recipe needs fewer of them."""

Recipe = Callable[[Config], Config]


def one_crop(config: Config) -> Config:
    """One crop a photo instead of several glimpses; in all as many crops."""
    batch, steps = 2 * config.train.batch_size, config.train.steps * config.train.glimpses // 2
    return change(config, train={"glimpses": 0, "batch_size": batch, "steps": steps})


def one_crop_in_half_the_steps(config: Config) -> Config:
    """As many crops as two glimpses see, of twice as many photos."""
    config = one_crop(config)
    return change(config, train={"steps": config.train.steps // 2})


def one_crop_of_as_many_photos(config: Config) -> Config:
    """One crop a photo instead of several glimpses, and nothing in return."""
    return change(config, train={"glimpses": 0})


def narrowing(config: Config) -> Config:
    """One crop a photo, of a scale drawn from a range that narrows."""
    end = config.model.scale
    schedule = ZoomScheduleConfig(steps=450, high_from=0.9, high_to=1.125 * end, low=0.9 * end)
    config = one_crop(config)
    return change(config, train={"steps": 700, "warmup_steps": 100, "zoom_schedule": schedule})


def paper_like(config: Config) -> Config:
    """Affine, dense head, the identity at first, a slow localization net: the paper's kind."""
    return change(
        one_crop(config),
        model={
            "transform": "affine",
            "head": "dense",
            "localization_channels": (16, 32, 32),
            "scale": 1.0,
            "scale_bounds": ModelConfig.scale_bounds,
            "keep_inside": False,
        },
        train={"localization_rate": 0.1},
    )


def fixed(transform: str) -> Recipe:
    """No learned zoom: the whole photo shrunk (identity), or its middle (centre)."""
    return lambda config: change(one_crop(config), model={"transform": transform, "head": "dense"})


RECIPES: dict[str, Recipe] = {
    "4 glimpses": lambda config: config,
    "2 glimpses": lambda config: change(config, train={"glimpses": 2}),
    "one crop": one_crop,
    "one crop, half the steps": one_crop_in_half_the_steps,
    "one crop, as many photos": one_crop_of_as_many_photos,
    "narrowing crop": narrowing,
    "paper-like": paper_like,
    "no zoom": fixed("identity"),
    "centre crop": fixed("centre"),
}


def synthetic(size: tuple[int, int], crop: tuple[int, int], *, train: int = 2000) -> Config:
    """Generated photos that the recipe was not tuned on."""
    photos = SyntheticConfig(train=train, val=200, test=600, seed=UNTUNED_DATA_SEED)
    return change(BASE, data={"photo_size": size, "synthetic": photos}, model={"crop_size": crop})


def digits(workdir: Path, mnist: Path) -> Config:
    """MNIST digits on cluttered canvases of 200x300, crops of 60x90 in which they can be read."""
    counts = {"train": 20_000, "val": 300, "test": 1000}
    folder = make_canvases(mnist, workdir / "canvases", counts=counts)
    return change(
        BASE,
        data={
            "source": "folder",
            "root": str(folder),
            "photo_size": (200, 300),
            "augment": AugmentConfig(),  # a mirrored digit is another sign
        },
        model={"crop_size": (60, 90), "view_shrink": 5, "scale": 0.4},
        train={"steps": 4800},
    )


def run(config: Config, workdir: Path, boxes: dict[str, np.ndarray] | None) -> dict[str, Any]:
    """Trains and evaluates one run, unless that is done; returns what came of it."""
    seconds = train_and_evaluate(config, workdir)
    result = judge(workdir / "evaluation" / "predictions.csv", config.data.photo_size, boxes)
    return result | {"training_cpu_seconds": round(seconds)}


def judge(
    predictions: Path, size: tuple[int, int], boxes: dict[str, np.ndarray] | None
) -> dict[str, Any]:
    """Counts what a run got right, and where its crops lay.

    Args:
      predictions: the table that `evaluate` wrote.
      size: height and width of the photos.
      boxes: the lesions by file; None: those in the table.
    """
    with predictions.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    corners = [f"area_{axis}{corner}" for corner in range(4) for axis in "xy"]
    sides = [f"lesion_{side}" for side in ("x0", "y0", "x1", "y1")]
    shares, overlaps, inside, covered = [], [], [], []
    for row in rows:
        area = np.array([float(row[name]) for name in corners]).reshape(4, 2)
        box = boxes[row["file"]] if boxes else np.array([float(row[name]) for name in sides])
        share, overlap, held = lesion_overlap(area, box)
        shares.append(share)
        overlaps.append(overlap)
        inside.append(held)
        covered.append(share_covered(area, size))
    right = sum(row["label"] == row["predicted"] for row in rows)
    n, held = len(rows), sum(inside)
    return {
        "photos": n,
        "right": right,
        "accuracy": right / n,
        "centre_inside": held,
        "hit": held / n,
        "lesion_share_inside": statistics.fmean(shares),
        "iou": statistics.fmean(overlaps),
        "scale": statistics.fmean(np.sqrt(covered)),
        "success": right >= ACCURACY * n and held >= INSIDE * n,
    }


def print_table(results: list[dict[str, Any]]) -> None:
    """Prints one line for each scene and recipe, over all its seeds."""
    print(f"{'':40}{'succeed':>10}{'accuracy':>20}{'hit':>14}{'IoU':>7}{'scale':>7}{'CPU s':>7}")
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault((result["scene"], result["recipe"]), []).append(result)
    for (scene, recipe), runs in groups.items():
        median = {
            name: statistics.median(result[name] for result in runs)
            for name in ("accuracy", "hit", "iou", "scale", "training_cpu_seconds")
        }
        low, high = (end(result["accuracy"] for result in runs) for end in (min, max))
        successes = f"{sum(result['success'] for result in runs)} of {len(runs)}"
        least = min(result["hit"] for result in runs)
        print(
            f"{scene + ', ' + recipe:40}{successes:>10}"
            f"{median['accuracy']:>8.3f} ({low:.2f}-{high:.2f}){median['hit']:>7.2f} ({least:.2f})"
            f"{median['iou']:>7.2f}{median['scale']:>7.2f}{median['training_cpu_seconds']:>7.0f}"
        )
    print("medians over the seeds; (lowest-highest), (lowest)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    scenes = ("synthetic", "synthetic few", "synthetic 210x315", "digits")
    parser.add_argument(
        "--scenes", nargs="+", choices=scenes, default=["synthetic"],
        help="sets of photos (default: synthetic)",
    )  # fmt: skip
    parser.add_argument(
        "--recipes", nargs="+", choices=RECIPES, default=list(RECIPES),
        help="ways to train (default: all)",
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, default=10, help="seeds 0, 1, ... (default 10)")
    parser.add_argument("--mnist", type=Path, help="folder of MNIST's files, for digits")
    parser.add_argument(
        "--workdir", type=Path, default=Path("runs/zoom"),
        help="where the runs go, one folder each (default runs/zoom)",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, help="file for the results, as JSON")
    options = parser.parse_args()
    if "digits" in options.scenes and options.mnist is None:
        parser.error("--scenes digits needs --mnist FOLDER")
    results = []
    for scene in options.scenes:
        match scene:
            case "synthetic":
                base = synthetic((126, 189), (42, 63))
            case "synthetic few":
                base = synthetic((126, 189), (42, 63), train=FEW_PHOTOS)
            case "synthetic 210x315":
                base = synthetic((210, 315), (70, 105))
            case "digits":
                base = digits(options.workdir, options.mnist)
        boxes = read_boxes(options.workdir / "canvases") if scene == "digits" else None
        for recipe in options.recipes:
            for seed in range(options.seeds):
                config = change(RECIPES[recipe](base), train={"seed": seed})
                place = options.workdir / f"{scene}-{recipe}-{seed}".replace(" ", "-")
                result = {"scene": scene, "recipe": recipe, "seed": seed}
                results.append(result | run(config, place, boxes))
                if options.output:
                    write(options.output, results=results)
    print_table(results)


if __name__ == "__main__":
    main()
