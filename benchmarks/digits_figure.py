"""Draws distorted digits as they come, and as the classifier sees them.

For each run, the first digits of its test and the first of those that it takes for others. Runs
come from `benchmarks/mnist.py`, and are named so:

    python -m benchmarks.digits_figure --output digits.jpg R=runs/mnist/R-affine-heatmap-0
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from benchmarks.figure_options import read_options
from stn_jax.data.builder import prepare
from stn_jax.data.pipeline import Split
from stn_jax.drawing import outline_photo, show
from stn_jax.evaluation.figures import STYLE
from stn_jax.evaluation.predictor import Predictor, load_predictor
from stn_jax.evaluation.table import PredictionTable, read_table

DIGITS = 7
"""Of either kind."""


def draw_runs(runs: dict[str, Path]) -> Figure:
    """Draws two rows a run: digits with the area of interest outlined, and the crops of it."""
    figure = Figure(figsize=(11, 1.75 * len(runs) + 0.3), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.01, w_pad=0.02, hspace=0, wspace=0, rect=(0, 0, 1, 0.94))
    widths = [*[1.0] * DIGITS, 0.25, *[1.0] * DIGITS]
    axes = figure.subplots(2 * len(runs), len(widths), gridspec_kw={"width_ratios": widths})
    for gap in axes[:, DIGITS]:
        gap.set_axis_off()
    left, right = axes[:, :DIGITS], axes[:, DIGITS + 1 :]
    for row, (name, workdir) in zip(range(0, len(axes), 2), runs.items(), strict=True):
        table = read_table(workdir / "evaluation" / "predictions.csv")
        wrong = np.flatnonzero(~table.correct)
        predictor = load_predictor(workdir)
        split = prepare(predictor.run.config.data).splits["test"]
        draw_digits(left[row : row + 2], predictor, split, table, range(DIGITS))
        draw_digits(right[row : row + 2], predictor, split, table, wrong[:DIGITS])
        left[row, 0].set_ylabel(name, fontsize=9)
        left[row + 1, 0].set_ylabel("crop", fontsize=9)
    for corner, words in (
        (left[0, 0], "The first digits of the test"),
        (right[0, 0], "The first that are wrong: what is called what"),
    ):
        # Out of the layout, or the words would widen the first column.
        corner.text(0, 1.38, words, transform=corner.transAxes, weight="bold", in_layout=False)
    return figure


def draw_digits(
    axes: np.ndarray,
    predictor: Predictor,
    split: Split,
    table: PredictionTable,
    places: Sequence[int],
) -> None:
    """Draws digits above their crops, and over each wrong one what it was taken for."""
    digits = np.stack([split[int(place)]["photo"] for place in places])
    reading = predictor.read(digits)
    for column, place in enumerate(places):
        above, below = axes[:, column]
        if predictor.run.config.model.transform == "tps":  # four corners do not outline a spline
            show(above, digits[column])
        else:
            outline_photo(above, digits[column], reading.area[column])
        show(below, reading.crops[column])
        if not table.correct[place]:
            label, taken_for = (table.classes[i[place]] for i in (table.label, table.predicted))
            above.set_title(f"{label} as {taken_for}", fontsize=8, weight="normal", pad=3)


def main() -> None:
    runs, output = read_options(__doc__)
    with matplotlib.rc_context(STYLE):
        draw_runs(runs).savefig(output, dpi=110)


if __name__ == "__main__":
    main()
